import { type ChildProcess, spawn } from 'node:child_process'
import { findRedis } from '../../scripts/find-redis.js'

export interface RedisProcess {
  readonly pid: number | undefined
  readonly running: boolean
  signal(name: 'SIGSTOP' | 'SIGCONT'): void
  kill(): Promise<void>
  output(): string
}

export function spawnRedis(argv: readonly string[], dir: string): RedisProcess {
  const binary = findRedis()
  if (!binary) throw new Error('no redis-server found: run `npm run ensure-redis`')

  const child = spawn(binary, argv, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] })
  const guard = killWithUs(child, dir)
  let log = ''
  const keep = (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-4000)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)

  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      log += error.message
      resolve()
    })
    child.once('close', () => resolve())
  }).then(() => {
    guard?.kill('SIGKILL')
  })

  const isRunning = () => child.pid !== undefined && child.exitCode === null && child.signalCode === null
  return {
    pid: child.pid,
    get running() {
      return isRunning()
    },
    signal(name) {
      if (isRunning()) child.kill(name)
    },
    async kill() {
      if (isRunning()) child.kill('SIGKILL')
      await exited
    },
    output: () => log,
  }
}

// Jest gives tests a copy of `process` whose exit event never fires, and a worker may be killed outright. A shell that
// waits for our end of its pipe to close outlives both and takes the server, even a stopped one, and its folder with it.
function killWithUs(child: ChildProcess, dir: string): ChildProcess | undefined {
  if (child.pid === undefined) return undefined
  const guard = spawn('sh', ['-c', 'read -r _; kill -9 "$0"; rm -rf "$1"', String(child.pid), dir], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  guard.on('error', () => {})
  guard.unref()
  const stdin = guard.stdin as unknown as { unref(): void }
  stdin.unref()
  return guard
}
