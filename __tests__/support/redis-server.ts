import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { freePort } from './free-port.js'
import { spawnRedis } from './redis-process.js'
import { type Connection, quiet, untilReady } from './redis-ready.js'
import { createCertificates } from './tls.js'

export interface StartOptions {
  port?: number
  args?: readonly string[]
  tls?: boolean
  password?: string
  /** Given the server's own folder, returns arguments that must come first, such as a configuration file. */
  prepare?: (dir: string) => Promise<readonly string[]>
}

export interface RedisServer {
  readonly port: number
  readonly url: string
  readonly ca: string | undefined
  pause(): void
  resume(): void
  kill(): Promise<void>
  restart(): Promise<void>
  stop(): Promise<void>
  client(): Redis
}

export async function startRedis(options: StartOptions = {}): Promise<RedisServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOn(options.port ?? (await freePort()), options)
    } catch (error) {
      const taken = error instanceof Error && error.message.includes('already in use')
      if (!taken || options.port !== undefined || attempt === 5) throw error
    }
  }
}

async function startOn(port: number, { args = [], tls = false, password, prepare }: StartOptions) {
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-redis-'))
  const certificates = tls ? await createCertificates(dir) : undefined
  const listen = certificates
    ? ['--port', '0', '--tls-port', `${port}`, '--tls-auth-clients', 'no', ...certificates.serverArgs]
    : ['--port', `${port}`]
  const argv = [
    ...((await prepare?.(dir)) ?? []),
    ...listen,
    ...['--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no', '--repl-diskless-sync-delay', '0'],
    ...(password === undefined ? [] : ['--requirepass', password]),
    ...args,
  ]
  const connection: Connection = {
    host: '127.0.0.1',
    port,
    lazyConnect: true,
    // ioredis keeps this timer running after it disconnects from a server that is gone.
    disconnectTimeout: 50,
    ...(password === undefined ? {} : { password }),
    ...(certificates ? { tls: { ca: certificates.ca } } : {}),
  }

  const start = async () => {
    const started = spawnRedis(argv, dir)
    await untilReady(started, connection)
    return started
  }
  const clear = () => rm(dir, { recursive: true, force: true })

  let redis = await start().catch(async (error) => {
    await clear()
    throw error
  })
  let inspector: Redis | undefined
  const login = password === undefined ? '' : `:${encodeURIComponent(password)}@`
  const server: RedisServer = {
    port,
    url: `${tls ? 'rediss' : 'redis'}://${login}127.0.0.1:${port}`,
    ca: certificates?.ca,
    pause: () => redis.signal('SIGSTOP'),
    resume: () => redis.signal('SIGCONT'),
    kill: () => redis.kill(),
    async restart() {
      await redis.kill()
      redis = await start()
    },
    async stop() {
      inspector?.disconnect()
      inspector = undefined
      await redis.kill()
      await clear()
    },
    client() {
      inspector ??= quiet(new Redis({ ...connection, retryStrategy: () => 20, maxRetriesPerRequest: 50 }))
      return inspector
    },
  }
  return server
}
