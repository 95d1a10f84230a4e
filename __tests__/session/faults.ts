import type { AddressInfo } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { RedisStore } from 'connect-redis'
import express, { type Express } from 'express'
import expressSession from 'express-session'
import { Redis } from 'ioredis'
import { createRedisManager } from '../../src/redis/index.js'
import { redisSession } from '../../src/session/index.js'
import { eventually } from '../support/eventually.js'
import { freePort } from '../support/free-port.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { startSentinels } from '../support/sentinel.js'

/** Where Redis is. */
export type Place =
  | { readonly port: number }
  | { readonly name: string; readonly sentinels: readonly { readonly host: string; readonly port: number }[] }

/** A stack of sessions under test: an app on an open port. */
export interface Candidate {
  readonly name: string
  start(place: Place): Promise<{ readonly url: string; close(): Promise<void> }>
}

/** What one fault did to an app whose users are logged in. */
export interface Outcome {
  readonly fault: string
  /** Longest and, once the fault is known, usual time of an answer, in ms. */
  readonly worstMs: number
  readonly usualMs: number
  /** Longest time for which the machine let nobody in this process run. */
  readonly lagMs: number
  /** Answers of 500 and above, and requests that had none within the limit. */
  readonly errors: number
  readonly hung: number
  /** Set-Cookie headers sent to users who had a session. */
  readonly cookies: number
  /** Log-ins that were answered with a cookie under which nothing was stored. */
  readonly brokenLogins: number
  /** What became of the session of before. */
  readonly session: 'kept' | 'lost'
  readonly revived: boolean
}

const SECRET = 'a secret of the fault suite'
const LIMIT_MS = 3000
const READS = 12

function routes(app: Express): Express {
  app.get('/', (req, res) => void res.json(req.session?.user ?? null))
  app.post('/login', (req, res) => {
    if (req.session) req.session.user = 'ann'
    res.json('ok')
  })
  app.post('/visit', (req, res) => {
    if (req.session) req.session.visits = Date.now()
    res.json('ok')
  })
  app.post('/logout', (req, res, next) => {
    const logout = req.sessions
      ? req.sessions.logout()
      : new Promise<void>((resolve, reject) => req.session.destroy((error) => (error ? reject(error) : resolve())))
    logout.then(() => res.json('ok'), next)
  })
  app.use(((_error, _req, res, next) => {
    if (res.headersSent) return next(_error)
    res.status(500).json('error')
  }) satisfies express.ErrorRequestHandler)
  return app
}

async function listen(app: Express, release: () => Promise<unknown>) {
  const server = app.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await release()
    },
  }
}

export const holdfast: Candidate = {
  name: 'holdfast/session',
  async start(place) {
    const redis = createRedisManager({
      logger: false,
      ...('port' in place
        ? { host: '127.0.0.1', port: place.port }
        : { sentinel: { name: place.name, nodes: place.sentinels } }),
    })
    await redis.ready(1000)
    const session = redisSession({ redis, secret: SECRET, touchAfter: 0 })
    return listen(routes(express().use(session)), () => redis.close())
  },
}

/** As their READMEs say. */
export const plain: Candidate = {
  name: 'express-session + connect-redis',
  async start(place) {
    const client =
      'port' in place ? new Redis(place.port) : new Redis({ name: place.name, sentinels: [...place.sentinels] })
    client.on('error', () => {})
    const session = expressSession({
      store: new RedisStore({ client }),
      secret: SECRET,
      resave: false,
      saveUninitialized: false,
    })
    return listen(routes(express().use(session)), async () => client.disconnect())
  },
}

interface Answer {
  readonly status: number
  readonly body: unknown
  readonly cookie: string | undefined
  readonly ms: number
}

async function ask(url: string, method: string, path: string, cookie = ''): Promise<Answer> {
  const started = performance.now()
  const elapsed = () => performance.now() - started
  try {
    const response = await fetch(url + path, { method, headers: { cookie }, signal: AbortSignal.timeout(LIMIT_MS) })
    const body: unknown = await response.json()
    const set = response.headers.getSetCookie()[0]?.split(';')[0]
    return { status: response.status, body, cookie: set, ms: elapsed() }
  } catch {
    return { status: 0, body: undefined, cookie: undefined, ms: elapsed() }
  }
}

interface Stage {
  readonly url: string
  readonly cookie: string
}

interface Fault {
  readonly name: string
  /** Where it starts: up with a user logged in, or down with a user logged in before. */
  readonly sentinel?: boolean
  readonly atStart?: boolean
  /** Redis forgets everything: there is no session to keep. */
  readonly forgets?: boolean
  break(server: RedisServer, stage: Stage): Promise<unknown>
  mend(server: RedisServer): Promise<unknown>
}

const PERSISTENT = ['--appendonly', 'yes', '--appendfsync', 'always']

export const faults: readonly Fault[] = [
  { name: 'down at start', atStart: true, break: (redis) => redis.kill(), mend: (redis) => redis.restart() },
  { name: 'refused', break: (redis) => redis.kill(), mend: (redis) => redis.restart() },
  {
    name: 'hung (SIGSTOP)',
    break: (redis) => Promise.resolve(redis.pause()),
    mend: (redis) => Promise.resolve(redis.resume()),
  },
  {
    name: 'killed in the midst of writes',
    async break(redis, { url, cookie }) {
      const writes = Array.from({ length: 20 }, () => ask(url, 'POST', '/visit', cookie))
      await redis.kill()
      await Promise.all(writes)
    },
    mend: (redis) => redis.restart(),
  },
  { name: 'restarted empty', forgets: true, break: (redis) => redis.kill(), mend: (redis) => redis.restart() },
  {
    name: 'connections killed',
    break: (redis) => redis.client().call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'),
    mend: () => Promise.resolve(),
  },
  {
    name: 'out of memory',
    break: (redis) => redis.client().config('SET', 'maxmemory', '1'),
    mend: (redis) => redis.client().config('SET', 'maxmemory', '0'),
  },
  { name: 'failover (Sentinel)', sentinel: true, break: (redis) => redis.kill(), mend: () => sleep(1) },
]

/** Runs one fault against one candidate, with users who are logged in. */
export async function inject(candidate: Candidate, fault: Fault): Promise<Outcome> {
  const port = await freePort()
  const sentinels = fault.sentinel ? await startSentinels() : undefined
  const server = sentinels?.master ?? (await startRedis({ port, args: fault.forgets ? [] : PERSISTENT }))
  const place: Place = sentinels ? { name: sentinels.name, sentinels: sentinels.sentinels } : { port }
  let app = await candidate.start(place)
  const lag = monitorEventLoopDelay({ resolution: 5 })
  try {
    const logIn = () =>
      eventually(async () => (await ask(app.url, 'POST', '/login')).cookie ?? false, { within: 10_000 })
    const [cookie, leaving] = [(await logIn()) as string, (await logIn()) as string]
    if (sentinels) {
      const keysOf = (redis: RedisServer) => redis.client().dbsize()
      await eventually(async () => (await keysOf(sentinels.replica)) === (await keysOf(server)))
    }
    if (fault.atStart) {
      await app.close()
      await fault.break(server, { url: app.url, cookie })
      app = await candidate.start(place)
    } else {
      await fault.break(server, { url: app.url, cookie })
    }
    const { url } = app
    lag.enable()
    const answers: Answer[] = []
    for (let i = 0; i < READS; i++) {
      answers.push(await ask(url, 'GET', '/', cookie))
      if (i % 4 === 3) answers.push(await ask(url, 'POST', '/visit', cookie))
      await sleep(20)
      if (answers.filter(({ status }) => status === 0).length >= 3) break
    }
    const away = await ask(url, 'POST', '/logout', leaving)
    const login = await ask(url, 'POST', '/login')
    lag.disable()
    await fault.mend(server)
    const recovered = await settled(url, cookie, fault.forgets === true)
    const brokenLogin = login.cookie !== undefined && (await ask(url, 'GET', '/', login.cookie)).body !== 'ann'
    const revived = away.status === 200 && (await ask(url, 'GET', '/', leaving)).body === 'ann'
    const all = [...answers, away, login]
    const usual = answers.slice(-4).map(({ ms }) => ms)
    return {
      fault: fault.name,
      worstMs: Math.round(Math.max(...all.map(({ ms }) => ms))),
      usualMs: Math.round(usual.reduce((sum, ms) => sum + ms, 0) / usual.length),
      lagMs: Math.round(lag.max / 1e6),
      errors: all.filter(({ status }) => status >= 500).length,
      hung: all.filter(({ status }) => status === 0).length,
      cookies: answers.filter((answer) => answer.cookie !== undefined).length,
      brokenLogins: brokenLogin ? 1 : 0,
      session: recovered ? 'kept' : 'lost',
      revived,
    }
  } finally {
    await app.close()
    await (sentinels ?? server).stop()
  }
}

/** Whether the user of before is found again, within the time a failover may take. */
async function settled(url: string, cookie: string, forgotten: boolean): Promise<boolean> {
  const deadline = performance.now() + (forgotten ? 1500 : 30_000)
  while (performance.now() < deadline) {
    if ((await ask(url, 'GET', '/', cookie)).body === 'ann') return true
    await sleep(50)
  }
  return false
}
