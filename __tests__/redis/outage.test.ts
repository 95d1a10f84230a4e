import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/eventually.js'
import { fairNow } from '../support/fair-clock.js'
import { freePort } from '../support/free-port.js'
import { startProxy, type TcpProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { closeAll, get, ready, SLACK, timed, watched } from './support.js'

let server: RedisServer
let proxy: TcpProxy
const rejections: unknown[] = []
const note = (reason: unknown): void => void rejections.push(reason)

beforeAll(async () => {
  process.on('unhandledRejection', note)
  server = await startRedis()
  proxy = await startProxy(server.port)
})
afterEach(async () => {
  server.resume()
  proxy.pass()
  await proxy.accept()
  await closeAll()
})
afterAll(async () => {
  await proxy.stop()
  await server.stop()
  process.off('unhandledRejection', note)
  expect(rejections).toEqual([])
})

test('with nothing configured it is down, says so once, and every call is answered by its fallback', async () => {
  const { redis, lines } = watched({})
  expect(redis.state).toBe('down')
  expect(redis.available).toBe(false)
  expect(
    await redis.attempt(
      'get',
      (client) => client.get('a'),
      (reason) => `fallback: ${reason}`,
    ),
  ).toBe('fallback: down')
  await expect(redis.execute('get', (client) => client.get('a'))).rejects.toMatchObject({
    code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE',
    reason: 'down',
    operation: 'get',
  })
  expect(await redis.ready(50)).toBe(false)
  await expect(redis.pool.use('pop', (client) => client.get('a'))).rejects.toMatchObject({ reason: 'down' })
  expect(await redis.subscriber.subscribe('news', () => {}).ready(50)).toBe(false)
  expect(await redis.health()).toMatchObject({
    state: 'down',
    latencyMs: undefined,
    inFlight: 0,
    lastError: { message: 'no Redis is configured' },
  })
  expect(lines).toHaveLength(1)
})

test('a Redis that is absent at boot is used within a second of its appearance', async () => {
  const port = await freePort()
  const { redis, events } = watched({ host: '127.0.0.1', port })
  expect(redis.state).toBe('connecting')
  expect(await get(redis)).toBe('connecting')
  await eventually(() => redis.state === 'down')
  const late = await startRedis({ port })
  const took = await timed(() => redis.ready('5s'))
  expect(took).toBeLessThan(1000)
  expect(
    await redis.attempt(
      'set',
      (client) => client.set('a', '1'),
      () => 'fallback',
    ),
  ).toBe('OK')
  expect(events).toEqual(['down', 'up'])
  await redis.close()
  await late.stop()
})

test('a hung server costs each of 100 callers at most its deadline, and soon nothing', async () => {
  const { redis, events } = await ready({ url: server.url })
  server.pause()
  const attempt = (): Promise<string | null> => get(redis)
  const waits = await Promise.all(Array.from({ length: 100 }, () => timed(attempt)))
  expect(Math.max(...waits)).toBeLessThan(75 + SLACK)
  expect(redis.state).toBe('degraded')

  const started = fairNow()
  const reasons = new Set<string | null>()
  for (let i = 0; i < 1000; i++) reasons.add(await attempt())
  expect(fairNow() - started).toBeLessThan(100)
  expect(reasons).toEqual(new Set(['degraded']))

  server.resume()
  expect(await timed(() => redis.ready('5s'))).toBeLessThan(1000)
  expect(await attempt()).toBeNull()
  expect(events[0]).toBe('up')
  expect(events[1]).toBe('degraded')
  expect(events.at(-1)).toBe('recovered')
})

test('callers one after the other wait for one deadline, two short ones, then not at all', async () => {
  const { redis } = await ready({ url: server.url })
  server.pause()
  const waits: number[] = []
  for (let i = 0; i < 6; i++) {
    waits.push(await timed(() => redis.execute('get', (client) => client.get('a'))))
  }
  expect(waits[0]).toBeGreaterThan(70)
  expect(waits.reduce((sum, each) => sum + each)).toBeLessThan(75 + 15 + 15 + 2 * SLACK)
  expect(Math.max(...waits.slice(3))).toBeLessThan(10)
})

test('one miss is enough for a hung server to be found out, without any further traffic', async () => {
  const { redis } = await ready({ url: server.url })
  server.pause()
  await get(redis)
  expect(redis.state).toBe('up')
  await eventually(() => redis.state === 'degraded', { within: 2 * 75 + SLACK })
})

test('the connection of a hung server is replaced: down, then recovered within a second of its return', async () => {
  const { redis, events } = await ready({ url: server.url })
  server.pause()
  await get(redis)
  await eventually(() => redis.state === 'down', { within: 3000 })
  server.resume()
  expect(await timed(() => redis.ready('5s'))).toBeLessThan(1000)
  expect(events).toEqual(['up', 'degraded', 'down', 'recovered'])
})

test('a blocked event loop is no miss', async () => {
  const { redis, events } = await ready({ url: server.url })
  for (let round = 0; round < 5; round++) {
    const replies = Promise.all(Array.from({ length: 20 }, () => get(redis)))
    const until = performance.now() + 120
    while (performance.now() < until);
    expect(new Set(await replies)).toEqual(new Set([null]))
  }
  expect(events).toEqual(['up'])
})

test('a server that dies and returns is used within a second of its return', async () => {
  const { redis, events } = await ready({ url: server.url })
  await server.kill()
  await eventually(() => redis.state === 'down')
  expect(await get(redis)).toBe('down')
  await server.restart()
  expect(await timed(() => redis.ready('5s'))).toBeLessThan(1000)
  expect(events).toEqual(['up', 'down', 'recovered'])
})

test('calls in flight when the server is killed are answered at once, and reported as lost', async () => {
  const { redis } = await ready({ url: proxy.url })
  proxy.blackhole()
  const attempts = Promise.all(Array.from({ length: 50 }, () => get(redis)))
  const started = fairNow()
  proxy.reset()
  expect(new Set(await attempts)).toEqual(new Set(['lost']))
  expect(fairNow() - started).toBeLessThan(SLACK)
})

test('a link that becomes slow degrades, and is used again once it is fast', async () => {
  const { redis, events } = await ready({ url: proxy.url })
  proxy.latency(200)
  await get(redis)
  await eventually(() => redis.state === 'degraded')
  await sleep(600)
  expect(redis.state).toBe('degraded')
  expect((await redis.health()).lastError?.message).toMatch(/^no answer within 75 ms$/)
  proxy.pass()
  expect(await timed(() => redis.ready('5s'))).toBeLessThan(1000)
  expect(events).toEqual(['up', 'degraded', 'recovered'])
})

test('while degraded only one PING is outstanding', async () => {
  const { redis } = await ready({ url: proxy.url, connectTimeout: '3s' })
  proxy.latency(900)
  await get(redis)
  await eventually(() => redis.state === 'degraded')
  const sent = proxy.bytesTo()
  await sleep(600)
  // The PING that found it out is still under way.
  expect(proxy.bytesTo()).toBe(sent)
})

test('a black hole that opens again, and a listener that comes back, are used within a second', async () => {
  const { redis } = await ready({ url: proxy.url })
  proxy.blackhole()
  await get(redis)
  await eventually(() => !redis.available)
  proxy.pass()
  expect(await timed(() => redis.ready('5s'))).toBeLessThan(1000)

  await proxy.refuse()
  await eventually(() => redis.state === 'down')
  await proxy.accept()
  expect(await timed(() => redis.ready('5s'))).toBeLessThan(1000)
})

test('a known outage costs no command, no bytes and no timer, and the fallback runs before the call returns', async () => {
  const { redis } = await ready({ url: proxy.url })
  proxy.latency(2000)
  await get(redis)
  await eventually(() => redis.state === 'degraded')
  const sent = proxy.bytesTo()
  const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  let ran = 0
  let commands = 0
  const answers: Promise<number>[] = []
  for (let i = 0; i < 100; i++) {
    answers.push(
      redis.attempt(
        'count',
        async () => ++commands,
        () => ++ran,
      ),
    )
  }
  expect(ran).toBe(100)
  expect(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length).toBe(timers)
  await Promise.all(answers)
  expect(commands).toBe(0)
  expect(proxy.bytesTo()).toBe(sent)
})

test('above maxInFlight calls are refused, and accepted again after the answers', async () => {
  const { redis } = await ready({ url: proxy.url, maxInFlight: 5 })
  proxy.latency(40)
  const calls = Array.from({ length: 8 }, () => get(redis))
  expect((await redis.health()).inFlight).toBeGreaterThanOrEqual(5)
  expect(await Promise.all(calls)).toEqual([null, null, null, null, null, 'overloaded', 'overloaded', 'overloaded'])
  proxy.pass()
  expect(await get(redis)).toBeNull()
})

test('commands that timed out count as in flight until they are answered, and no longer once their connection is gone', async () => {
  const { redis } = await ready({ url: proxy.url, maxInFlight: 5, breakerThreshold: 1000 })
  proxy.blackhole()
  const attempt = (): Promise<string | null> => get(redis)
  expect(await Promise.all(Array.from({ length: 6 }, attempt))).toEqual([...Array(5).fill('timeout'), 'overloaded'])
  expect(await attempt()).toBe('overloaded')
  proxy.pass()
  await eventually(async () => (await attempt()) === null)
  proxy.blackhole()
  await Promise.all(Array.from({ length: 5 }, attempt))
  proxy.reset()
  await eventually(() => !redis.available)
  proxy.pass()
  expect(await redis.ready('5s')).toBe(true)
  expect(await Promise.all(Array.from({ length: 5 }, attempt))).toEqual(Array(5).fill(null))
  expect((await redis.health()).inFlight).toBe(0)

  // Whatever the code inside an operation waits for, a new connection starts with a clean slate.
  const endless = (): Promise<string> =>
    redis.attempt<string>(
      'endless',
      () => new Promise(() => {}),
      (reason) => reason,
    )
  expect(await Promise.all(Array.from({ length: 6 }, endless))).toEqual([...Array(5).fill('timeout'), 'overloaded'])
  proxy.reset()
  await eventually(() => !redis.available)
  expect(await redis.ready('5s')).toBe(true)
  expect(await attempt()).toBeNull()
})

test('an answer after the deadline changes nothing, and the next call gets its own', async () => {
  const { redis } = await ready({ url: proxy.url, breakerThreshold: 1000 })
  await redis.execute('set', (client) => client.mset('late', 'late', 'next', 'next'))
  proxy.latency(150)
  let settled = 0
  const late = redis.attempt(
    'get',
    (client) => client.get('late').finally(() => settled++),
    (reason) => reason,
  )
  expect(await late).toBe('timeout')
  proxy.pass()
  expect(await redis.execute('get', (client) => client.get('next'), { deadline: '2s' })).toBe('next')
  expect(settled).toBe(1)
  expect(await late).toBe('timeout')
})

test('a deadline beyond what a timer can hold is a long one, not a short one', async () => {
  const { redis } = await ready({ url: proxy.url })
  proxy.latency(50)
  expect(await redis.execute('get', (client) => client.get('a'), { deadline: '60d' })).toBeNull()
})

test('a server that has become a replica is left alone, without noise, until it or its name leads to a master', async () => {
  const master = await startRedis()
  const { redis, events } = await ready({ url: server.url })
  await server.client().call('REPLICAOF', '127.0.0.1', String(master.port))
  const set = (): Promise<string> =>
    redis.attempt(
      'set',
      (client) => client.set('a', '1'),
      (reason) => reason,
    )
  expect(await set()).toBe('lost')
  await eventually(() => redis.state === 'down')
  await sleep(1200)
  expect(await set()).toBe('down')
  expect((await redis.health()).lastError?.message).toBe('READONLY')
  expect(events).toEqual(['up', 'degraded', 'down'])
  await server.client().call('REPLICAOF', 'NO', 'ONE')
  expect(await timed(() => redis.ready('5s'))).toBeLessThan(1000)
  expect(await set()).toBe('OK')
  await master.stop()
})

test('an event loop that was blocked longer than any deadline keeps its connections', async () => {
  const { redis } = await ready({ url: server.url })
  const heard: string[] = []
  const gaps: number[] = []
  const news = redis.subscriber.subscribe('news', (message) => void heard.push(message), { onGap: () => gaps.push(1) })
  expect(await news.ready()).toBe(true)
  const identify = () => redis.execute('id', (client) => client.client('ID'))
  const before = await identify()
  for (let round = 0; round < 3; round++) {
    const asked = Promise.all(
      Array.from({ length: 10 }, () =>
        redis.attempt(
          'echo',
          (client) => client.echo('here'),
          () => 'fallback',
        ),
      ),
    )
    // Once before the command is written, and twice after.
    if (round > 0) await sleep(1)
    const until = performance.now() + 1300
    while (performance.now() < until);
    expect(await asked).toEqual(Array(10).fill('here'))
  }
  expect(await identify()).toBe(before)
  await server.client().publish('news', 'after')
  await eventually(() => heard.length === 1)
  expect(gaps).toEqual([])
})

test('a connection on which the server has gone silent is replaced in about a second, without any traffic', async () => {
  const { redis } = await ready({ url: proxy.url })
  proxy.blackhole()
  await redis.attempt(
    'get',
    (client) => client.get('a'),
    () => null,
  )
  await eventually(() => redis.state === 'down', { within: 4000 })
  proxy.pass()
  await eventually(() => redis.state === 'up', { within: 5000 })
})
