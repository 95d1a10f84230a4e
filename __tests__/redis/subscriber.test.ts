import { eventually } from '../support/eventually.js'
import { startProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { closeAll, ready, timed, watched } from './support.js'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})
afterEach(async () => {
  server.resume()
  await closeAll()
  await eventually(async () => (await subscribers()) === 0)
})
afterAll(() => server.stop())

async function subscribers(): Promise<number> {
  return String(await server.client().call('CLIENT', 'LIST', 'TYPE', 'pubsub'))
    .split('\n')
    .filter(Boolean).length
}
const publish = (channel: string, message: string): Promise<number> => server.client().publish(channel, message)

test('channels and patterns share one connection, opened at the first and closed after the last', async () => {
  const { redis } = await ready({ url: server.url })
  expect(await subscribers()).toBe(0)
  const got: string[] = []
  const direct = redis.subscriber.subscribe('news', (message, channel) => got.push(`${channel}=${message}`))
  const pattern = redis.subscriber.subscribe('n*', (message, channel) => got.push(`${channel}~${message}`), {
    pattern: true,
  })
  expect(await Promise.all([direct.ready(), pattern.ready()])).toEqual([true, true])
  expect(await subscribers()).toBe(1)
  await publish('news', 'hello')
  await publish('nothing', 'else')
  await eventually(() => got.length === 3)
  expect(got.sort()).toEqual(['news=hello', 'news~hello', 'nothing~else'])
  direct.close()
  pattern.close()
  await eventually(async () => (await subscribers()) === 0)
})

test('handlers of one channel are counted: it stays subscribed until the last has gone', async () => {
  const { redis } = await ready({ url: server.url })
  const got: string[] = []
  const handler = (message: string): void => void got.push(message)
  const [first, second] = [redis.subscriber.subscribe('c', handler), redis.subscriber.subscribe('c', handler)]
  await Promise.all([first.ready(), second.ready()])
  await publish('c', 'both')
  await eventually(() => got.length === 2)
  first.close()
  first.close()
  await publish('c', 'one')
  await eventually(() => got.length === 3)
  second.close()
  await eventually(async () => (await publish('c', 'none')) === 0)
  expect(got).toEqual(['both', 'both', 'one'])
})

test('however fast one subscribes and unsubscribes, the last word counts', async () => {
  const { redis } = await ready({ url: server.url })
  const got: string[] = []
  const keep = redis.subscriber.subscribe('other', () => {})
  for (let round = 0; round < 50; round++) {
    for (const channel of ['on', 'off']) {
      const subscription = redis.subscriber.subscribe(channel, (message) => got.push(`${channel}:${message}`))
      if (round % 7 === 0) await subscription.ready()
      if (channel === 'off' || round < 49) subscription.close()
    }
  }
  await eventually(async () => (await publish('on', '1')) === 1 && (await publish('off', '1')) === 0)
  expect(got.at(-1)).toBe('on:1')
  keep.close()
})

test('who subscribes again while the channel is being left is ready only when it is subscribed again', async () => {
  const { redis } = await ready({ url: server.url })
  const keep = redis.subscriber.subscribe('other', () => {})
  for (let round = 0; round < 30; round++) {
    const first = redis.subscriber.subscribe('again', () => {})
    expect(await first.ready()).toBe(true)
    first.close()
    const second = redis.subscriber.subscribe('again', () => {})
    expect(await second.ready()).toBe(true)
    expect(await publish('again', 'x')).toBe(1)
    second.close()
  }
  keep.close()
})

test.each([
  ['its connection was killed', () => server.client().call('CLIENT', 'KILL', 'TYPE', 'pubsub')],
  ['the server restarted', () => server.restart()],
])('after %s it is subscribed again, and every subscription learns of the gap once', async (_name, interrupt) => {
  const { redis } = await ready({ url: server.url })
  const got: string[] = []
  const gaps: string[] = []
  const one = redis.subscriber.subscribe('one', (message) => got.push(message), { onGap: () => gaps.push('one') })
  const two = redis.subscriber.subscribe('tw*', (message) => got.push(message), {
    pattern: true,
    onGap: () => gaps.push('two'),
  })
  await Promise.all([one.ready(), two.ready()])
  expect(gaps).toEqual([])
  await interrupt()
  await eventually(() => gaps.length === 2, { within: 5000 })
  expect(await publish('one', '1')).toBe(1)
  expect(await publish('two', '2')).toBe(1)
  await eventually(() => got.length === 2)
  expect(gaps.sort()).toEqual(['one', 'two'])
})

test('a hung server is noticed although nothing was sent, and the gap is announced when it continues', async () => {
  const { redis } = await ready({ url: server.url })
  let gaps = 0
  const subscription = redis.subscriber.subscribe('c', () => {}, { onGap: () => gaps++ })
  await subscription.ready()
  server.pause()
  await new Promise((resolve) => setTimeout(resolve, 2300))
  server.resume()
  await eventually(() => gaps === 1, { within: 3000 })
  expect(await subscription.ready()).toBe(true)
})

test('an idle connection stays', async () => {
  const proxy = await startProxy(server.port)
  const { redis } = await ready({ url: proxy.url })
  let gaps = 0
  await redis.subscriber.subscribe('c', () => {}, { onGap: () => gaps++ }).ready()
  await new Promise((resolve) => setTimeout(resolve, 2500))
  expect(gaps).toBe(0)
  expect(proxy.connections()).toBe(2)
  await redis.close()
  await proxy.stop()
})

test('a handler that throws or rejects harms neither the others nor the connection', async () => {
  const { redis, lines } = await ready({ url: server.url })
  const got: string[] = []
  redis.subscriber.subscribe('c', () => {
    throw new Error('first')
  })
  redis.subscriber.subscribe('c', (() => Promise.reject(new Error('second'))) as () => void)
  const last = redis.subscriber.subscribe('c', (message) => got.push(message))
  await last.ready()
  await publish('c', '1')
  await publish('c', '2')
  await eventually(() => got.length === 2 && lines.filter((line) => line.includes('handler threw')).length === 4)
})

test('a channel the server refuses is reported once and holds up no other', async () => {
  await server.client().call('ACL', 'SETUSER', 'listener', 'on', '>pw', '~*', '+@all', 'resetchannels', '&allowed')
  const { redis, lines } = await ready({ port: server.port, username: 'listener', password: 'pw' })
  const refused = redis.subscriber.subscribe('secret', () => {})
  const allowed = redis.subscriber.subscribe('allowed', () => {})
  expect(await allowed.ready()).toBe(true)
  expect(await refused.ready(100)).toBe(false)
  expect(lines.filter((line) => line.includes('HOLDFAST_SUBSCRIBE_REFUSED'))).toHaveLength(1)
  refused.close()
})

test('wanted while Redis is absent, subscribed when it comes', async () => {
  const port = server.port
  await server.kill()
  const { redis } = watched({ port })
  const got: string[] = []
  const subscription = redis.subscriber.subscribe('c', (message) => got.push(message))
  expect(await subscription.ready(100)).toBe(false)
  await server.restart()
  expect(await subscription.ready(5000)).toBe(true)
  await publish('c', 'hello')
  await eventually(() => got.length === 1)
})

test('close() settles whoever waits, and nothing subscribes afterwards', async () => {
  const { redis } = await ready({ url: server.url })
  server.pause()
  const waiting = redis.subscriber.subscribe('c', () => {}).ready(10_000)
  expect(await timed(() => redis.close())).toBeLessThan(1000)
  expect(await waiting).toBe(false)
  expect(await redis.subscriber.subscribe('d', () => {}).ready(10_000)).toBe(false)
})

test('a subscription that is closed lets go of whoever waits for it, and of the timer', async () => {
  const { redis } = watched({ port: 1 })
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
  const subscription = redis.subscriber.subscribe('c', () => {})
  const before = timers()
  const waiting = subscription.ready(600_000)
  expect(timers()).toBe(before + 1)
  subscription.close()
  expect(timers()).toBe(before)
  expect(await waiting).toBe(false)
  expect(await subscription.ready(600_000)).toBe(false)
  expect(timers()).toBe(before)
})

test('thousands of channels are back a moment after a reconnect, in a few commands', async () => {
  const { redis } = await ready({ url: server.url })
  const got = new Set<string>()
  const all = Array.from({ length: 3000 }, (_, index) =>
    redis.subscriber.subscribe(`many:${index}`, (_message, channel) => void got.add(channel)),
  )
  expect(await Promise.all(all.map((each) => each.ready(5000)))).not.toContain(false)
  await server.client().call('CONFIG', 'RESETSTAT')
  await server.client().call('CLIENT', 'KILL', 'TYPE', 'pubsub')
  await eventually(async () => (await publish('many:2999', 'x')) === 1, { within: 5000 })
  const stats = String(await server.client().info('commandstats'))
  expect(Number(/cmdstat_subscribe:calls=(\d+)/.exec(stats)?.[1])).toBeLessThan(20)
  for (const each of all) each.close()
})
