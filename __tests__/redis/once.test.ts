import { setTimeout as sleep } from 'node:timers/promises'
import { batch, defineScript, type RedisManager } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { startProxy, type TcpProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { closeAll, ready } from './support.js'

let server: RedisServer
let proxy: TcpProxy

beforeAll(async () => {
  server = await startRedis()
  proxy = await startProxy(server.port)
})
beforeEach(() => server.client().flushall())
afterEach(async () => {
  server.resume()
  proxy.pass()
  await closeAll()
})
afterAll(async () => {
  await proxy.stop()
  await server.stop()
})

/** How often the server has run the command. */
async function calls(command: string): Promise<number> {
  const stats = await server.client().info('commandstats')
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
}

const incr = (redis: RedisManager): Promise<number | null> =>
  redis.attempt(
    'incr',
    (client) => client.incr('counter'),
    () => null,
  )

test('a connection reset under load loses answers, and repeats nothing', async () => {
  const { redis } = await ready({ url: proxy.url })
  let sent = 0
  let answered = 0
  const traffic = (async () => {
    for (let round = 0; round < 40; round++) {
      await Promise.all(
        Array.from({ length: 25 }, async () => {
          sent++
          if ((await incr(redis)) !== null) answered++
        }),
      )
      if (round % 8 === 3) proxy.reset()
      await sleep(20)
    }
  })()
  await traffic
  const count = Number(await server.client().get('counter'))
  expect(count).toBeGreaterThanOrEqual(answered)
  expect(count).toBeLessThanOrEqual(sent)
  expect(answered).toBeGreaterThan(0)
  expect(await calls('incr')).toBe(count)
})

test('commands whose answers are lost have run at most once after the connection is back', async () => {
  const { redis } = await ready({ url: proxy.url })
  proxy.latency(500)
  const answers = Promise.all(Array.from({ length: 20 }, () => incr(redis)))
  await eventually(async () => Number(await server.client().get('counter')) === 20)
  proxy.reset()
  expect(new Set(await answers)).toEqual(new Set([null]))
  proxy.pass()
  expect(await redis.ready('5s')).toBe(true)
  await sleep(300)
  expect(await server.client().get('counter')).toBe('20')
})

test('commands sent to a hung server run at most once when it continues', async () => {
  const { redis } = await ready({ url: server.url })
  server.pause()
  await Promise.all(Array.from({ length: 20 }, () => incr(redis)))
  await eventually(() => redis.state === 'down', { within: 3000 })
  server.resume()
  expect(await redis.ready('5s')).toBe(true)
  expect(Number(await server.client().get('counter'))).toBeLessThanOrEqual(20)
})

test('a script whose answer is lost is not sent again as EVAL', async () => {
  const { redis } = await ready({ url: proxy.url })
  const add = defineScript<number>({ name: 'add', lua: `return redis.call('INCR', KEYS[1])` })
  await redis.execute('add', (client) => add.run(client, ['counter'], []))
  proxy.latency(500)
  const lost = redis.execute('add', (client) => add.run(client, ['counter'], []), { deadline: '5s' })
  await eventually(async () => (await server.client().get('counter')) === '2')
  proxy.reset()
  await expect(lost).rejects.toMatchObject({ reason: 'lost' })
  proxy.pass()
  expect(await redis.ready('5s')).toBe(true)
  await sleep(200)
  expect(await server.client().get('counter')).toBe('2')
})

test('a batch whose answers are lost rejects as a whole, and nothing of it runs again', async () => {
  const { redis } = await ready({ url: proxy.url })
  proxy.latency(500)
  const lost = redis.execute(
    'batch',
    (client) =>
      batch(client, [
        ['incr', 'counter'],
        ['incr', 'counter'],
      ]),
    { deadline: '5s' },
  )
  await eventually(async () => (await server.client().get('counter')) === '2')
  proxy.reset()
  await expect(lost).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE', reason: 'lost' })
  proxy.pass()
  expect(await redis.ready('5s')).toBe(true)
  await sleep(200)
  expect(await server.client().get('counter')).toBe('2')
})
