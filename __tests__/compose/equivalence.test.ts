import type { Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { startProxy, type TcpProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { FORMS, type Form, type Stack, stackOf } from './apps.js'

const FULL = process.env.HOLDFAST_TEST_FULL === '1'
const RUNS = FULL ? 150 : 15
const USERS = ['ann', 'bob'] as const

interface Step {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'DELETE'
  readonly path: string
  readonly cookie: (typeof USERS)[number] | 'forged' | 'foreign' | undefined
  readonly headers: Readonly<Record<string, string>>
  /** Sent so many times at once; but once where the order would decide what is stored. */
  readonly times: number
}

const step: fc.Arbitrary<Step> = fc
  .record({
    method: fc.constantFrom('GET', 'GET', 'GET', 'GET', 'HEAD', 'POST', 'DELETE'),
    path: fc
      .tuple(
        fc.constantFrom('/', '/a', '/b'),
        fc.constantFrom(
          '',
          'say=public',
          'say=no-store',
          'say=private',
          'say=public,+s-maxage=60',
          'status=404',
          'vary',
        ),
      )
      .map(([path, query]) => (query === '' ? path : `${path}?${query}`)),
    cookie: fc.constantFrom(undefined, undefined, 'ann', 'ann', 'bob', 'forged', 'foreign'),
    headers: fc
      .tuple(
        fc.constantFrom(
          {},
          {},
          {},
          { 'Cache-Control': 'no-cache' },
          { 'Cache-Control': 'no-store' },
          {
            'Cache-Control': 'only-if-cached',
          },
        ),
        fc.constantFrom({}, {}, { 'X-Variant': 'one' }, { 'X-Variant': 'two' }),
        fc.constantFrom({}, {}, {}, { Range: 'bytes=0-4' }, { 'If-None-Match': '*' }, { 'If-None-Match': '"other"' }),
        fc.constantFrom({}, {}, {}, {}, { Authorization: 'Bearer x' }, { Accept: 'text/html' }),
      )
      .map((parts) => Object.assign({}, ...parts) as Record<string, string>),
    times: fc.constantFrom(1, 1, 1, 1, 1, 6),
  })
  .map((each) => ({ ...each, times: each.method === 'POST' ? 1 : each.times }))

const scenarios = fc.record({
  order: fc.shuffledSubarray(['limit', 'session', 'cache'] as const, { minLength: 2 }),
  limit: fc.constantFrom(4, 1000),
  byUser: fc.boolean(),
  keyed: fc.boolean(),
  local: fc.boolean(),
  rolling: fc.constantFrom(false, false, true),
  noTouch: fc.boolean(),
  reject: fc.boolean(),
  steps: fc.array(step, { minLength: 3, maxLength: 14 }),
})
/** Behind the cache, how many of several requests at once the limiter sees is chance: as many as miss. */
const scenario = scenarios.map((given) => {
  const { order, steps } = given
  const chance = order.includes('cache') && order.indexOf('cache') < order.indexOf('limit')
  return chance ? { ...given, steps: steps.map((each) => ({ ...each, times: 1 })) } : given
})
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** One form of the stack with a Redis database of its own, so that what it leaves behind can be compared. */
class Subject {
  readonly form: Form
  readonly redis: RedisManager
  readonly #cookies = new Map<string, string>()
  #stack: Stack | undefined
  #server: Server | undefined

  constructor(form: Form, url: string) {
    this.form = form
    this.redis = createRedisManager({ url, logger: false, keyPrefix: form, commandTimeout: '5s' })
  }

  async begin({ order, limit, byUser, keyed, local, rolling, noTouch, reject }: Scenario): Promise<void> {
    this.#stack = stackOf({
      ...{ redis: this.redis, form: this.form, order },
      limit: {
        ...{ limit, name: 'the-limit' },
        user: byUser ? (req) => req.session?.user : false,
      },
      session: { rolling, noTouch: () => noTouch, touchAfter: 0, onUnavailable: reject ? 'reject' : 'passthrough' },
      cache: {
        ...{ local, namespace: 'the-cache', ttl: '1h', coalesce: '20s' },
        ...(keyed ? { key: (req) => req.session?.user ?? 'nobody' } : {}),
      },
    })
    const { app } = this.#stack
    this.#server = await new Promise<Server>((resolve) => {
      const listening = app.listen(0, '127.0.0.1', () => resolve(listening))
    })
  }

  async logIn(): Promise<void> {
    for (const user of USERS) {
      const response = await fetch(`${this.#base}/login/${user}`, { method: 'POST' })
      this.#cookies.set(user, (response.headers.get('set-cookie') ?? '').split(';')[0] as string)
    }
    this.#cookies.set('forged', 'sid=s%3Aforged.nosignature')
    this.#cookies.set('foreign', 'theme=dark')
  }

  async send({ method, path, cookie, headers }: Step): Promise<Answer> {
    const sent = { ...headers, ...(cookie === undefined ? {} : { Cookie: this.#cookies.get(cookie) ?? '' }) }
    const port = ((this.#server as Server).address() as AddressInfo).port
    return parse(await exchange(port, method, path, sent), method)
  }

  /** What is in Redis, without what differs by chance: names and times of sessions, versions of tags. */
  async state(server: RedisServer): Promise<unknown> {
    const client = server.client()
    const found: string[] = []
    for (const key of await client.keys(`*${this.form}*`)) {
      const name = key.replaceAll(this.form, 'form')
      if (name.includes(':probe:')) continue
      if (name.includes('session')) {
        const record = (await client.type(key)) === 'hash' ? await client.hgetall(key) : undefined
        if (record?.v !== undefined) {
          const data = JSON.parse(record.d as string) as { cookie?: unknown }
          found.push(`session ${record.v} ${JSON.stringify({ ...data, cookie: undefined })}`)
        }
      } else if (name.includes('rate:')) found.push(name)
      else if (/responses/.test(name)) found.push(name)
    }
    const peeks = await Promise.all(
      [{ address: '127.0.0.1' }, { user: 'ann' }, { user: 'bob' }].map((caller) => this.#stack?.limit.peek(caller)),
    )
    return { keys: found.sort(), remaining: peeks.map((each) => each?.tightest.remaining), runs: this.#stack?.runs() }
  }

  async end(): Promise<void> {
    this.#stack?.session.close()
    this.#server?.closeAllConnections()
    await new Promise((resolve) => this.#server?.close(resolve))
    this.#cookies.clear()
  }

  get #base(): string {
    return `http://127.0.0.1:${((this.#server as Server).address() as AddressInfo).port}`
  }
}

/** As bytes: `fetch` would answer conditional requests and 304s by rules of its own. */
function exchange(port: number, method: string, path: string, headers: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines = Object.entries({ Host: `127.0.0.1:${port}`, Connection: 'close', ...headers })
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    const socket = connect(port, '127.0.0.1', () => socket.write(`${method} ${path} HTTP/1.1\r\n${head}\r\n`))
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
  })
}

function parse(text: string, method: string): Answer {
  const end = text.indexOf('\r\n\r\n')
  const [first = '', ...lines] = text.slice(0, end).split('\r\n')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    headers[name] = [headers[name], timeless(name, line.slice(colon + 2))]
      .filter((each) => each !== undefined)
      .join(', ')
  }
  expect(method === 'HEAD' && text.length > end + 4).toBe(false)
  return { status: Number(first.split(' ')[1]), headers, body: timelessBody(text.slice(end + 4)) }
}

/** Without what depends on the second in which the request was sent, and random ids. */
function timeless(name: string, value: string): string {
  if (['date', 'age', 'retry-after', 'x-ratelimit-reset'].includes(name)) return 'a time'
  if (name === 'ratelimit') return value.replace(/t=\d+/g, 't=')
  if (name === 'cache-status') return value.replace(/ttl=-?\d+/g, 'ttl=')
  if (name === 'set-cookie') return value.replace(/sid=[^;]*/, 'sid=').replace(/Expires=[^;]*/, 'Expires=')
  return value
}

function timelessBody(body: string): string {
  return body.replace(/"retryAfter":\d+/g, '"retryAfter":0').replace(/in \d+ seconds?/g, 'in some time')
}

/** What must be the same of answers to equal requests that were sent at once: who is first is chance. */
function together(answers: readonly Answer[]): unknown {
  return answers.map(({ status }) => status).sort()
}

async function play(subjects: readonly Subject[], { steps }: Scenario): Promise<void> {
  for (const [index, each] of steps.entries()) {
    const answers = await Promise.all(
      subjects.map(async (subject) => {
        const sent = await Promise.all(Array.from({ length: each.times }, () => subject.send(each)))
        return each.times === 1 ? sent[0] : together(sent)
      }),
    )
    expect({ index, answer: answers[1] }).toEqual({ index, answer: answers[0] })
    // What is stored is stored after the answer.
    await settled(subjects)
  }
}

/** Until nothing of a request is under way any more: a read on the same connection comes after every write before it. */
async function settled(subjects: readonly Subject[]): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 1))
    await Promise.all(
      subjects.map(({ redis }) =>
        redis.attempt(
          'test.settled',
          (client) => client.ping(),
          () => '',
        ),
      ),
    )
  }
}

describe('composed, limiter, session and response cache', () => {
  let server: RedisServer
  let subjects: Subject[]
  beforeAll(async () => {
    server = await startRedis()
    subjects = FORMS.map((form) => new Subject(form, server.url))
    for (const { redis } of subjects) await redis.ready('10s')
  })
  afterAll(async () => {
    await Promise.all(subjects.map(({ redis }) => redis.close()))
    await server.stop()
  })

  it(
    'answer whatever is asked as mounted one after the other, and leave the same in Redis',
    async () => {
      await fc.assert(
        fc.asyncProperty(scenario, async (given) => {
          await server.client().flushall()
          for (const subject of subjects) await subject.begin(given)
          try {
            for (const subject of subjects) await subject.logIn()
            await play(subjects, given)
            const [mounted, composed] = await Promise.all(subjects.map((subject) => subject.state(server)))
            // How often the handler ran for requests sent at once is chance where answers may not be shared.
            const chance = given.steps.some(({ times }) => times > 1)
            const comparable = (state: unknown) => (chance ? { ...(state as object), runs: 0 } : state)
            expect(comparable(composed)).toEqual(comparable(mounted))
          } finally {
            for (const subject of subjects) await subject.end()
          }
        }),
        { numRuns: RUNS },
      )
    },
    FULL ? 600_000 : 60_000,
  )
})

describe('composed, while Redis comes and goes,', () => {
  let server: RedisServer
  let proxy: TcpProxy
  let subjects: Subject[]
  beforeAll(async () => {
    server = await startRedis()
    proxy = await startProxy(server.port)
    subjects = FORMS.map((form) => new Subject(form, proxy.url))
    for (const { redis } of subjects) await redis.ready('10s')
  })
  afterAll(async () => {
    await Promise.all(subjects.map(({ redis }) => redis.close()))
    await proxy.stop()
    await server.stop()
  })

  it.each([
    ['refuses connections', () => proxy.refuse()],
    ['answers nothing', () => proxy.blackhole()],
  ])(
    'middlewares answer as mounted one after the other while it %s',
    async (_name, take) => {
      await fc.assert(
        fc.asyncProperty(scenario, async (given) => {
          await server.client().flushall()
          for (const subject of subjects) await subject.begin({ ...given, limit: 1000 })
          try {
            for (const subject of subjects) await subject.logIn()
            await take()
            await play(subjects, given)
          } finally {
            await proxy.accept()
            proxy.pass()
            for (const subject of subjects) await subject.end()
            await eventually(() => subjects.every(({ redis }) => redis.available), { within: 20_000 })
          }
        }),
        { numRuns: FULL ? 20 : 3 },
      )
    },
    180_000,
  )
})
