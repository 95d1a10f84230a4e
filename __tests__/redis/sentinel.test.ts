import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import type { Redis } from 'ioredis'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { type Sentinels, startSentinels } from '../support/sentinel.js'
import { closeAll, get, ready, SLACK, timed, watched } from './support.js'

const printed: string[] = []
const spies = (['log', 'info', 'warn', 'error', 'debug'] as const).map((level) =>
  jest
    .spyOn(console, level)
    .mockImplementation((...args) => void printed.push(args.map((arg) => inspect(arg)).join(' '))),
)
let group: Sentinels
let servers: RedisServer[]

beforeAll(async () => {
  group = await startSentinels()
  servers = [group.master, group.replica]
})
afterEach(closeAll)
afterAll(async () => {
  await group.stop()
  for (const spy of spies) spy.mockRestore()
  expect(printed).toEqual([])
})

const options = () => ({ sentinel: { name: group.name, nodes: group.sentinels } })

async function masterNow(): Promise<RedisServer> {
  const roles = await Promise.all(servers.map((server) => server.client().role()))
  const index = roles.findIndex(([role]) => role === 'master')
  return servers[index] as RedisServer
}

/** One master, one replica, and every sentinel knows both and the other sentinels. */
function settled(): Promise<unknown> {
  return eventually(
    async () => {
      const roles = (await Promise.all(servers.map((server) => server.client().role()))).map(([role]) => role)
      const master = await masterNow()
      const views = await Promise.all(group.sentinelServers.map(viewOf))
      return (
        roles.includes('master') && roles.includes('slave') && views.every((view) => view === `${master.port} master 2`)
      )
    },
    { within: 12_000, every: 50 },
  )
}

/** Port of the master it names, its state (a failover ends seconds after the address has changed), other sentinels. */
async function viewOf(sentinel: RedisServer): Promise<string> {
  const reply = (await sentinel.client().call('SENTINEL', 'MASTER', group.name)) as string[]
  return ['port', 'flags', 'num-other-sentinels'].map((name) => reply[reply.indexOf(name) + 1]).join(' ')
}

test('the master is found, for the shared, the pooled and the subscribing connection', async () => {
  const { redis } = await ready(options())
  expect(await redis.execute('set', (client) => client.set('a', '1'))).toBe('OK')
  expect(await redis.pool.use('get', (client) => client.get('a'), { waitMs: 3000 })).toBe('1')
  expect(await redis.subscriber.subscribe('c', () => {}).ready(3000)).toBe(true)
})

test('news of a failover that come while the master is being asked for do not end the connection', async () => {
  const { redis } = await ready(options())
  const client = (await redis.execute('client', (it) => Promise.resolve(it))) as Redis
  // What ioredis' failover detector does.
  client.once('connecting', () => (client as unknown as { connector: { disconnect(): void } }).connector.disconnect())
  const ended = new Promise((resolve) => client.once('end', resolve))
  client.disconnect(true)
  await ended
  await eventually(() => redis.available, { within: 5000 })
  expect(await redis.execute('set', (it) => it.set('a', '1'))).toBe('OK')
})

test.each([
  ['hangs', async (server: RedisServer) => server.pause(), async (server: RedisServer) => server.resume()],
  ['is killed', (server: RedisServer) => server.kill(), (server: RedisServer) => server.restart()],
])(
  'when the master %s writes work again after the failover, and no call waits past its deadline',
  async (_name, fell, heal) => {
    const { redis, events } = await ready(options())
    const old = await masterNow()
    await fell(old)
    let longest = 0
    await eventually(
      async () => {
        let reply: string | null = null
        const took = await timed(async () => {
          reply = await redis.attempt(
            'set',
            (client) => client.set('b', '2'),
            () => 'fallback',
          )
        })
        longest = Math.max(longest, took)
        return reply === 'OK'
      },
      { within: 30_000 },
    )
    expect(longest).toBeLessThan(75 + SLACK)
    expect(events.at(-1)).toBe('recovered')
    await heal(old)
    await settled()
  },
)

test('when it loses a sentinel nothing happens, nothing is printed, and close() is quick', async () => {
  const { redis, events, lines } = await ready(options())
  await redis.execute('set', (client) => client.set('a', '1'))
  const [first] = group.sentinelServers as [RedisServer, ...RedisServer[]]
  await first.kill()
  await sleep(1300)
  expect(await get(redis)).toBe('1')
  expect(lines).toHaveLength(1)
  expect(events).toEqual(['up'])
  expect(await timed(() => redis.close())).toBeLessThan(500)
  await first.restart()
})

test('with all sentinels away, or none that knows the name, it is down and says why', async () => {
  const away = watched({ sentinel: { name: 'm', nodes: [{ host: '127.0.0.1', port: 1 }] } })
  const unknown = watched({ sentinel: { name: 'nobody', nodes: group.sentinels } })
  for (const { redis } of [away, unknown]) {
    await eventually(() => redis.state === 'down')
    expect(await get(redis)).toBe('down')
    expect((await redis.health()).lastError?.message).toBe('All sentinels are unreachable')
    expect(await timed(() => redis.close())).toBeLessThan(200)
  }
})

test('with sentinels that hang it is down, and is closed in time', async () => {
  const hung = await startRedis()
  hung.pause()
  const { redis } = watched({ sentinel: { name: 'm', nodes: [{ host: '127.0.0.1', port: hung.port }] } })
  await eventually(() => redis.state === 'down')
  expect(await timed(() => redis.close())).toBeLessThan(1000)
  await hung.stop()
})

test('tls is for Redis and for its sentinels, unless these are told apart', async () => {
  const secure = await startRedis({ tls: true, password: 'hunter2' })
  const sentinel = await startRedis({
    prepare: async (dir) => {
      const file = join(dir, 'sentinel.conf')
      await writeFile(file, `sentinel monitor m 127.0.0.1 ${secure.port} 1\n`)
      return [file, '--sentinel']
    },
  })
  const place = { name: 'm', nodes: [{ host: '127.0.0.1', port: sentinel.port }] }
  const tls = { ca: secure.ca as string }
  const apart = await ready({ sentinel: { ...place, tls: false }, password: 'hunter2', tls })
  expect(await get(apart.redis)).toBeNull()

  const alike = watched({ sentinel: place, password: 'hunter2', tls })
  await eventually(() => alike.redis.state === 'down', { within: 3000 })
  expect((await alike.redis.health()).lastError?.message).toBe('All sentinels are unreachable')
  await closeAll()
  await Promise.all([secure.stop(), sentinel.stop()])
})
