import { setTimeout as sleep } from 'node:timers/promises'
import slotOf from 'cluster-key-slot'
import { Cluster } from 'ioredis'
import { batch, defineScript, type RedisManager, scan } from '../../src/redis/index.js'
import { type RedisCluster, startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { closeAll, get, ready, SLACK, timed } from './support.js'

let cluster: RedisCluster
let redis: RedisManager
let events: string[]

beforeAll(async () => {
  cluster = await startCluster({ nodeTimeout: 1000 })
})
beforeEach(async () => {
  ;({ redis, events } = await ready({ cluster: { nodes: cluster.nodes.slice(0, 2) } }))
})
afterEach(closeAll)
afterAll(() => cluster.stop())

const names = Array.from({ length: 60 }, (_, index) => `item-${index}`)
const keyOf = (name: string): string => redis.keys.key('test', name)

async function holderOf(key: string): Promise<RedisServer> {
  for (const server of await cluster.masters()) {
    const slots = (await server.client().cluster('SLOTS')) as unknown as [number, number, [string, number]][]
    const slot = slotOf(key)
    const range = slots.find(([from, to]) => from <= slot && slot <= to)
    const holder = cluster.servers.find(({ port }) => port === range?.[2][1])
    if (holder) return holder
  }
  throw new Error(`nobody holds ${key}`)
}

test('a batch over all masters replies in order, one pipeline per master', async () => {
  const sets = names.map((name) => ['set', keyOf(name), name] as const)
  const gets = names.map((name) => ['getBuffer', keyOf(name)] as const)
  await redis.execute('fill', (client) => batch(client, sets))
  const replies = await redis.execute('read', (client) => batch(client, [...gets, ['lpush', keyOf('item-0'), 'x']]))
  expect(replies.slice(0, -1)).toEqual(names.map((name) => [null, Buffer.from(name)]))
  expect(replies.at(-1)?.[0]?.message).toMatch(/^WRONGTYPE/)
})

test('a scan visits every master', async () => {
  const found: string[] = []
  for await (const keys of scan(redis, redis.keys.pattern('test'), { count: 5 })) found.push(...keys)
  expect(new Set(found)).toEqual(new Set(names.map(keyOf)))
})

test('scripts run where their key is, loaded on each master, binary as well', async () => {
  const echo = defineScript<Buffer>({
    name: 'echo',
    lua: `redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])`,
    binary: true,
  })
  const count = defineScript<number>({ name: 'count', lua: `return redis.call('INCR', KEYS[1])` })
  for (const name of names.slice(0, 10)) {
    const bytes = Buffer.from([0, 255, 10])
    expect(await redis.execute('echo', (client) => echo.run(client, [keyOf(`b-${name}`)], [bytes]))).toEqual(bytes)
    expect(await redis.execute('count', (client) => count.run(client, [keyOf(`c-${name}`)], []))).toBe(1)
  }
})

test('keys of one slot part can be used together', async () => {
  const slot = redis.keys.slot('user:1')
  const [a, b] = [redis.keys.key('s', slot, 'a'), redis.keys.key('s', slot, 'b')]
  await redis.execute('mset', (client) => client.mset(a, '1', b, '2'))
  expect(await redis.execute('mget', (client) => client.mget(a, b))).toEqual(['1', '2'])
})

test('messages arrive, whichever nodes publisher and subscriber are connected to', async () => {
  const got: string[] = []
  const subscription = redis.subscriber.subscribe('news', (message) => got.push(message))
  expect(await subscription.ready(3000)).toBe(true)
  await eventually(async () => {
    await redis.execute('publish', (client) => client.publish('news', 'hello'))
    return got.length > 0
  })
  subscription.close()
})

test('a pooled connection blocks for longer than commands may take', async () => {
  const key = keyOf('jobs')
  const popped = redis.pool.use('pop', (client) => client.brpop(key, 5), { waitMs: 3000 })
  await sleep(1300)
  await redis.execute('push', (client) => client.lpush(key, 'job'))
  expect(await popped).toEqual([key, 'job'])
})

test('a command in flight on a connection that is lost runs once', async () => {
  const key = keyOf('once')
  const holder = await holderOf(key)
  await redis.execute('incr', (client) => client.incr(key))
  const [node] = await redis.execute('nodes', async (client) =>
    (client as Cluster).nodes('master').filter(({ options }) => options.port === holder.port),
  )
  const outcome = redis.execute('incr', (client) => client.incr(key)).catch((error) => error)
  // The command is on its way; its answer finds nobody.
  ;(node as unknown as { stream: { destroy(): void } }).stream.destroy()
  expect(await outcome).toMatchObject({ reason: 'lost' })
  await eventually(async () => (await holder.client().get(key)) === '2')
  await sleep(500)
  expect(await holder.client().get(key)).toBe('2')
})

test('a borrowed Cluster client is used, warned about, and left open', async () => {
  const client = new Cluster(cluster.nodes)
  client.on('error', () => {})
  const borrowed = await ready({ client })
  expect(await borrowed.redis.execute('set', (it) => it.set('{borrowed}', '1'))).toBe('OK')
  const key = '{borrowed}:jobs'
  const popped = borrowed.redis.pool.use('pop', (it) => it.brpop(key, 5), { waitMs: 3000 })
  const subscription = borrowed.redis.subscriber.subscribe('c', () => {})
  expect(await subscription.ready(3000)).toBe(true)
  await sleep(700)
  await client.lpush(key, 'job')
  expect(await popped).toEqual([key, 'job'])
  for (const code of ['HOLDFAST_CLIENT_RESENDS', 'HOLDFAST_CLIENT_NO_WATCHDOG']) {
    expect(borrowed.lines.filter((line) => line.includes(code))).toHaveLength(1)
  }
  await borrowed.redis.close()
  expect(await client.get('{borrowed}')).toBe('1')
  client.disconnect()
  expect(() => ready({ client: new Cluster(cluster.nodes, { lazyConnect: true, keyPrefix: 'p:' }) })).rejects.toThrow(
    /"client" must not have a keyPrefix/,
  )
})

/** Commands to every slot, without a pause, until `done`; the longest wait and whether writes end in success. */
async function traffic(done: () => boolean): Promise<{ longest: number; calls: number }> {
  let longest = 0
  let calls = 0
  await Promise.all(
    names.slice(0, 10).map(async (name) => {
      while (!done()) {
        const took = await timed(() =>
          redis.attempt(
            'set',
            (client) => client.set(keyOf(name), '1'),
            () => 'fallback',
          ),
        )
        longest = Math.max(longest, took)
        calls++
        await sleep(5)
      }
    }),
  )
  return { longest, calls }
}

const writesEverywhere = async (): Promise<boolean> => {
  const replies = await Promise.all(
    names.map((name) =>
      redis.attempt(
        'set',
        (client) => client.set(keyOf(name), '1'),
        () => 'fallback',
      ),
    ),
  )
  return replies.every((reply) => reply === 'OK')
}

test.each([
  ['killed', (server: RedisServer) => server.kill(), (server: RedisServer) => server.restart()],
  ['hung', async (server: RedisServer) => server.pause(), async (server: RedisServer) => server.resume()],
])(
  'a master that is %s: no call waits past its deadline, and writes work again after the failover',
  async (_name, fell, heal) => {
    const victim = await holderOf(keyOf('item-0'))
    let done = false
    const running = traffic(() => done)
    await sleep(100)
    await fell(victim)
    await eventually(() => !redis.available)
    await eventually(writesEverywhere, { within: 30_000, every: 50 })
    done = true
    const { longest, calls } = await running
    expect(longest).toBeLessThan(75 + SLACK)
    expect(calls).toBeGreaterThan(100)
    // It may flap while nodes agree, but not once per probe.
    expect(events.length).toBeLessThan(12)
    await heal(victim)
    await eventually(async () => (await cluster.masters()).length === 3, { within: 30_000 })
    await eventually(writesEverywhere)
  },
  120_000,
)

test('when every node hangs for long and continues, it is used within two seconds', async () => {
  for (const server of cluster.servers) server.pause()
  await get(redis)
  await eventually(() => !redis.available)
  await sleep(2500)
  expect(await get(redis)).toMatch(/degraded|down/)
  for (const server of cluster.servers) server.resume()
  expect(await timed(() => redis.ready('20s'))).toBeLessThan(2000)
  await eventually(writesEverywhere, { within: 10_000 })
})

test('when every node dies it is down, and used again soon after they return', async () => {
  await Promise.all(cluster.servers.map((server) => server.kill()))
  await eventually(() => redis.state === 'down')
  expect(
    await redis.attempt(
      'get',
      (client) => client.get('a'),
      (reason) => reason,
    ),
  ).toBe('down')
  expect((await redis.health()).lastError?.message).not.toMatch(/127\.0\.0\.1/)
  expect(await timed(() => redis.close())).toBeLessThan(1000)
})
