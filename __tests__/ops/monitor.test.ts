import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { type Condition, createMonitor, type Monitor, type MonitorOptions } from '../../src/ops/index.js'
import { createRedisManager, type RedisManager, type RedisManagerOptions } from '../../src/redis/index.js'
import { startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'
import { startProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

let server: RedisServer
const managers: RedisManager[] = []
const monitors: Monitor[] = []
const extras: { stop(): Promise<void> }[] = []

beforeAll(async () => {
  server = await startRedis({ args: ['--maxmemory', '20mb', '--maxmemory-policy', 'allkeys-lru'] })
})
beforeEach(async () => {
  const admin = server.client()
  await admin.flushall()
  await admin.config('RESETSTAT')
})
afterEach(async () => {
  await Promise.all(monitors.splice(0).map((monitor) => monitor.close()))
  await Promise.all(managers.splice(0).map((redis) => redis.close()))
  await Promise.all(extras.splice(0).map((extra) => extra.stop()))
})
afterAll(() => server.stop())

async function connected(options: RedisManagerOptions = { url: server.url }): Promise<RedisManager> {
  // A loaded machine is no outage.
  const redis = createRedisManager({ logger: false, commandTimeout: 1000, ...options })
  managers.push(redis)
  await redis.ready('5s')
  return redis
}

/** Stopped after the test, however that ends. */
async function extra<Started extends { stop(): Promise<void> }>(starting: Promise<Started>): Promise<Started> {
  const started = await starting
  extras.push(started)
  return started
}

/** What depends on the machine, or on what else a test does. */
const QUIET = { latency: false, hitRatio: false, slowCalls: false } as const

/** A monitor that looks when it is told to, and what it told. */
function watched(redis: RedisManager, { thresholds, ...options }: Partial<MonitorOptions> = {}) {
  const told: string[] = []
  const monitor = createMonitor({
    redis,
    every: '1h',
    samples: 1,
    thresholds: { ...QUIET, ...thresholds },
    onAlert: ({ condition }) => void told.push(`+${condition}`),
    onRecovery: ({ condition }) => void told.push(`-${condition}`),
    ...options,
  })
  monitors.push(monitor)
  return { monitor, told }
}

const raised = (monitor: Monitor): Condition[] => monitor.alerts().map(({ condition }) => condition)

describe('createMonitor', () => {
  it('tells of memory near its limit once, and once when it is over', async () => {
    const { monitor, told } = watched(await connected())
    await monitor.check()
    expect(told).toEqual([])
    const admin = server.client()
    for (let i = 0; i < 14; i++) await admin.set(`filler:${i}`, 'x'.repeat(1_048_576))
    for (let i = 0; i < 5; i++) await monitor.check()
    expect(told).toEqual(['+memory'])
    const [alert] = monitor.alerts()
    expect(alert?.value).toBeGreaterThan(0.8)
    expect(alert?.message).toMatch(/^Redis uses \d+(\.\d)? % of its memory limit$/)
    await admin.flushall()
    for (let i = 0; i < 5; i++) await monitor.check()
    expect(told).toEqual(['+memory', '-memory'])
    expect(monitor.alerts()).toEqual([])
  })

  it('tells of evictions, and of a poor hit ratio since the look before', async () => {
    const { monitor, told } = watched(await connected(), { thresholds: { memory: false, hitRatio: 0.8 } })
    const admin = server.client()
    await monitor.check()
    for (let i = 0; i < 40; i++) await admin.set(`filler:${i}`, 'x'.repeat(1_048_576))
    for (let i = 0; i < 200; i++) await admin.get(`absent:${i}`)
    await monitor.check()
    expect(told.sort()).toEqual(['+evictions', '+hitRatio'])
    await admin.set('a', '1')
    for (let i = 0; i < 200; i++) await admin.get('a')
    await monitor.check()
    expect(monitor.alerts()).toEqual([])
  })

  it('tells of slow calls', async () => {
    const admin = server.client()
    await admin.config('SET', 'slowlog-log-slower-than', '0')
    const { monitor, told } = watched(await connected(), { thresholds: { slowCalls: 1 } })
    await monitor.check()
    for (let i = 0; i < 10; i++) await admin.get('a')
    await monitor.check()
    await admin.config('SET', 'slowlog-log-slower-than', '10000')
    expect(told).toEqual(['+slowCalls'])
  })

  it('tells of memory that is fragmented, and that the holes are filled', async () => {
    const own = await extra(startRedis())
    const each = (command: string): string =>
      `for i = ARGV[1], ARGV[2] do if i % 5 > 1 or ARGV[3] then ${command} end end`
    const inSteps = async (script: string, ...all: string[]): Promise<void> => {
      for (let from = 0; from < 250_000; from += 10_000) await own.client().eval(script, 0, from, from + 9999, ...all)
    }
    const fill = each("redis.call('SET', 'key:' .. i, string.rep('x', 1000))")
    const { monitor, told } = watched(await connected({ url: own.url }), {
      thresholds: { keyGrowth: false },
    })
    await inSteps(fill, 'all')
    const look = (expected: string[]) =>
      eventually(
        async () => {
          await monitor.check()
          expect(told).toEqual(expected)
        },
        { every: 200 },
      )
    await monitor.check()
    expect(told).toEqual([])
    // Three of five: what is left keeps the pages.
    await inSteps(each("redis.call('DEL', 'key:' .. i)"))
    await look(['+fragmentation'])
    expect(monitor.alerts()[0]?.message).toMatch(/^memory fragmentation is \d(\.\d)?$/)
    await inSteps(fill)
    await look(['+fragmentation', '-fragmentation'])
  }, 60_000)

  it('tells of a keyspace that grows fast', async () => {
    const own = await extra(startRedis())
    const fill = "for i = ARGV[1], ARGV[2] do redis.call('SET', 'key:' .. i, '') end"
    await own.client().eval(fill, 0, 1, 8000)
    const { monitor, told } = watched(await connected({ url: own.url }))
    await monitor.check()
    await own.client().eval(fill, 0, 8001, 15_000)
    await monitor.check()
    expect(told).toEqual([])
    await own.client().eval(fill, 0, 15_001, 20_000)
    await monitor.check()
    expect(told).toEqual(['+keyGrowth'])
    expect(monitor.alerts()[0]?.message).toBe('keys grew by 150 % within an hour')
  })

  it('tells of a replica that falls behind', async () => {
    const master = await extra(startRedis())
    const replica = await extra(startRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] }))
    await eventually(async () => (await master.client().info('replication')).includes('state=online'), {
      within: 10_000,
    })
    const { monitor, told } = watched(await connected({ url: master.url }))
    await monitor.check()
    expect(told).toEqual([])
    replica.pause()
    for (let i = 0; i < 12; i++) await master.client().set('big', 'x'.repeat(1_048_576))
    await monitor.check()
    expect(told).toEqual(['+replicationLag'])
    replica.resume()
    await eventually(
      async () => {
        await monitor.check()
        expect(told).toEqual(['+replicationLag', '-replicationLag'])
      },
      { within: 10_000, every: 100 },
    )
  }, 60_000)

  it('tells of rejected connections', async () => {
    const tight = await extra(startRedis({ args: ['--maxclients', '4'] }))
    const { monitor, told } = watched(await connected({ url: tight.url }))
    await monitor.check()
    const crowd = await Promise.all(Array.from({ length: 6 }, () => connected({ url: tight.url, connectTimeout: 300 })))
    await monitor.check()
    expect(told).toContain('+rejectedConnections')
    expect(crowd.some(({ available }) => !available)).toBe(true)
    await Promise.all(crowd.map((redis) => redis.close()))
  }, 60_000)

  it('tells at once of a lost connection, once, and of its return', async () => {
    const own = await extra(startRedis())
    const redis = await connected({ url: own.url })
    const { monitor, told } = watched(redis, { every: 100, samples: 2 })
    await own.kill()
    await eventually(() => expect(told).toEqual(['+connection']))
    expect(monitor.alerts()[0]?.message).toMatch(/^Redis is down \(.+\)$/)
    await own.restart()
    await eventually(() => expect(told).toEqual(['+connection', '-connection']), { within: 10_000 })
  })

  it('tells of a Redis that answers slowly, although nothing is sent to it any more', async () => {
    const proxy = await extra(startProxy(server.port))
    const redis = await connected({ url: proxy.url, commandTimeout: 75 })
    const { monitor, told } = watched(redis, { thresholds: { latency: 100 } })
    await monitor.check()
    proxy.latency(200)
    await eventually(async () => {
      await redis.attempt(
        'read',
        (client) => client.get('a'),
        () => null,
      )
      expect(told).toEqual(['+latency'])
    })
    proxy.pass()
    await eventually(() => redis.available)
    await eventually(async () => {
      await monitor.check()
      expect(told).toEqual(['+latency', '-latency'])
    })
  })

  it('measures latency above its threshold where commands may take that long', async () => {
    const proxy = await extra(startProxy(server.port))
    const redis = await connected({ url: proxy.url, commandTimeout: 1000 })
    const { monitor, told } = watched(redis, { thresholds: { latency: 100 } })
    proxy.latency(150)
    await monitor.check()
    expect(told).toEqual(['+latency'])
    expect(monitor.alerts()[0]?.value).toBeGreaterThan(140)
  })

  it('emits what it tells, shows it in health, and survives callbacks that throw', async () => {
    const own = await extra(startRedis())
    const redis = await connected({ url: own.url })
    const emitted: string[] = []
    redis.on('monitor.alert', ({ condition }) => void emitted.push(condition))
    const monitor = createMonitor({
      redis,
      every: '1h',
      onAlert: () => {
        throw new Error('pager is down')
      },
    })
    monitors.push(monitor)
    await own.kill()
    await eventually(() => expect(raised(monitor)).toEqual(['connection']))
    expect(emitted).toEqual(['connection'])
    const [source] = redis.sources()
    expect(source?.status()).toMatchObject({ status: 'warn', values: { alerts: 1 } })
    await monitor.close()
    expect(redis.sources()).toEqual([])
  })

  it('says at once that Redis is away when it is from the start', async () => {
    const redis = createRedisManager({ env: {}, logger: false })
    managers.push(redis)
    const { told } = watched(redis)
    await eventually(() => expect(told).toEqual(['+connection']))
  })

  it('sums over a Cluster', async () => {
    const cluster = await extra(startCluster())
    const redis = await connected({ cluster: { nodes: cluster.nodes } })
    const { monitor, told } = watched(redis)
    await monitor.check()
    expect(monitor.latest()?.stats.servers).toHaveLength(3)
    expect(told).toEqual([])
    await monitor.close()
    await redis.close()
  }, 60_000)

  it('refuses options it does not know', async () => {
    const redis = await connected()
    expect(() => createMonitor({ redis, evry: 1 } as never)).toThrow('createMonitor: "evry" is not an option')
    expect(() => createMonitor({ redis, every: '1ms' })).toThrow('createMonitor: "every" must be')
    expect(() => createMonitor({ redis, thresholds: { memory: 'x' as never } })).toThrow(
      'createMonitor: thresholds: "memory"',
    )
  })
})

describe('a monitor of the fleet', () => {
  const fill = async () => {
    for (let i = 0; i < 14; i++) await server.client().set(`filler:${i}`, 'x'.repeat(1_048_576))
  }

  it('tells once for all processes, and another one goes on where it stopped', async () => {
    const fleet = await Promise.all([connected(), connected(), connected()])
    const told: string[] = []
    const onAlert = ({ condition }: { condition: string }): void => void told.push(`+${condition}`)
    const onRecovery = ({ condition }: { condition: string }): void => void told.push(`-${condition}`)
    const all = fleet.map((redis) => watched(redis, { scope: 'fleet', onAlert, onRecovery }).monitor)
    const lookAll = () => Promise.all(all.map((monitor) => monitor.check()))
    await lookAll()
    await fill()
    await lookAll()
    await lookAll()
    expect(told).toEqual(['+memory'])
    const owner = all.find((monitor) => monitor.alerts().length > 0) as Monitor
    await owner.close()
    await lookAll()
    await lookAll()
    expect(told).toEqual(['+memory'])
    expect(all.filter((monitor) => monitor !== owner && raised(monitor).includes('memory'))).toHaveLength(1)
    await server.client().eval("for _, key in ipairs(redis.call('KEYS', 'filler:*')) do redis.call('DEL', key) end", 0)
    await lookAll()
    expect(told).toEqual(['+memory', '-memory'])
  })

  it('tells of a lost connection from one process', async () => {
    const own = await extra(startRedis())
    const fleet = await Promise.all([1, 2, 3].map(() => connected({ url: own.url })))
    const told: string[] = []
    const onAlert = ({ condition }: { condition: string }): void => void told.push(condition)
    const all = fleet.map((redis) => watched(redis, { scope: 'fleet', onAlert }).monitor)
    await Promise.all(all.map((monitor) => monitor.check()))
    await own.kill()
    await eventually(() => fleet.every(({ available }) => !available))
    await Promise.all(all.map((monitor) => monitor.check()))
    expect(told).toEqual(['connection'])
  })

  it('tells that the connection is back although another process has the watch by then', async () => {
    const own = await extra(startRedis())
    const fleet = await Promise.all([1, 2].map(() => connected({ url: own.url })))
    const told: string[] = []
    const all = fleet.map((redis) => {
      const options: Partial<MonitorOptions> = {
        scope: 'fleet',
        onAlert: ({ condition }) => void told.push(`+${condition}`),
        onRecovery: ({ condition }) => void told.push(`-${condition}`),
      }
      return { redis, monitor: watched(redis, options).monitor }
    })
    await Promise.all(all.map(({ monitor }) => monitor.check()))
    const owner = all.find(({ monitor }) => monitor.latest() !== undefined)
    await own.kill()
    await eventually(() => expect(told).toEqual(['+connection']))
    await own.restart()
    // An empty Redis holds no lease: this is another process that was quicker.
    await own.client().set(owner?.redis.keys.key('monitor', 'lease', 'default') ?? '', 'quicker')
    await eventually(() => fleet.every(({ available }) => available))
    await eventually(async () => {
      await owner?.monitor.check()
      expect(told).toEqual(['+connection', '-connection'])
    })
    expect(owner?.monitor.alerts()).toEqual([])
  })

  it('tells of an outage that begins after its lease has run out only when the outage lasts', async () => {
    const own = await extra(startRedis())
    const redis = await connected({ url: own.url })
    const { monitor, told } = watched(redis, { scope: 'fleet', every: 600_000 })
    await monitor.check()
    const real = performance.now.bind(performance)
    // As in a process that was stopped for longer than its lease.
    const slept = jest.spyOn(performance, 'now').mockImplementation(() => real() + 3_600_000)
    await own.kill()
    await eventually(() => redis.state === 'down')
    await monitor.check()
    expect(told).toEqual([])
    slept.mockImplementation(() => real() + 3_603_000)
    await monitor.check()
    expect(told).toEqual(['+connection'])
    slept.mockRestore()
  })

  it('takes foreign bytes for no alerts', async () => {
    const redis = await connected()
    for (const bytes of ['{', '[null,1,{}]', '[{"condition":"__proto__","message":"x","since":"x"}]', '"x"']) {
      await server.client().set(redis.keys.key('monitor', 'standing', 'default'), bytes)
      const { monitor } = watched(redis, { scope: 'fleet' })
      await monitor.check()
      expect(monitor.alerts()).toEqual([])
      await monitor.close()
    }
  })
})
