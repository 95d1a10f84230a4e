import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import slotOf from 'cluster-key-slot'
import { createPubSub, defineChannel, type PubSub } from '../../src/pubsub/index.js'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { type RedisCluster, startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { startRedis } from '../support/redis-server.js'
import { redisMajor } from '../support/redis-version.js'

const rates = defineChannel<number>('rates', { sharded: true })
const PATIENT = { within: 20_000, every: 20 }

let cluster: RedisCluster
let bus: PubSub
let sender: PubSub
let redis: RedisManager
let managers: RedisManager[]

async function joinCluster(options: Parameters<typeof startCluster>[0]): Promise<void> {
  cluster = await startCluster(options)
  managers = [1, 2].map(() =>
    createRedisManager({ cluster: { nodes: cluster.nodes }, commandTimeout: '2s', logger: false }),
  )
  await Promise.all(managers.map((each) => each.ready('10s')))
  redis = managers[0] as RedisManager
  bus = createPubSub({ redis })
  sender = createPubSub({ redis: managers[1] as RedisManager })
}
afterEach(async () => {
  for (const server of cluster?.servers ?? []) server.resume()
  await Promise.all((managers ?? []).map((each) => each.close()))
  await cluster?.stop()
})

/** Asks a server that answers: the paused one does not. */
async function ownerOf(slot: number, asked: RedisServer): Promise<RedisServer> {
  const ranges = (await asked.client().cluster('SLOTS')) as unknown as [number, number, [string, number]][]
  const port = ranges.find(([from, to]) => from <= slot && slot <= to)?.[2][1]
  const owner = cluster.servers.find((server) => server.port === port)
  if (owner === undefined) throw new Error(`nobody owns slot ${slot}`)
  return owner
}

const nameOf = (channel: { parts: readonly string[] }): string => redis.keys.key('pubsub', ...channel.parts)
const shardChannels = (server: RedisServer): Promise<unknown> => server.client().call('PUBSUB', 'SHARDCHANNELS')
const subscribers = async (server: RedisServer): Promise<number> =>
  String(await server.client().call('CLIENT', 'LIST', 'TYPE', 'pubsub'))
    .split('\n')
    .filter(Boolean).length

/** Publishes numbers until one arrives, and resolves to it. */
async function untilHeard(got: readonly number[], from: number): Promise<number> {
  let next = from
  await eventually(async () => {
    await sender.publish(rates, next++)
    return got.some((each) => each >= from)
  }, PATIENT)
  return got.find((each) => each >= from) as number
}

const sinceSeven = redisMajor >= 7 ? describe : describe.skip

sinceSeven('a sharded channel on a Cluster', () => {
  beforeEach(() => joinCluster({ nodeTimeout: 1000 }), 60_000)

  it('goes through the owner of its slot alone, in order, and is left with the last subscription', async () => {
    const got: number[] = []
    const names = new Set<string>()
    const first = bus.subscribe(rates, (rate, { parts }) => {
      got.push(rate)
      names.add(parts.join('/'))
    })
    const second = bus.subscribe(rates, () => {})
    expect(await Promise.all([first.ready('10s'), second.ready('10s')])).toEqual([true, true])
    const owner = await ownerOf(slotOf(nameOf(rates)), cluster.servers[0] as RedisServer)
    for (const server of await cluster.masters()) {
      expect(await shardChannels(server)).toEqual(server === owner ? [nameOf(rates)] : [])
      expect(await server.client().call('PUBSUB', 'CHANNELS')).toEqual([])
    }
    const sent = Array.from({ length: 200 }, (_, at) => at)
    const results = await Promise.all(sent.map((at) => sender.publish(rates, at)))
    expect(new Set(results.map(({ outcome }) => outcome))).toEqual(new Set(['published']))
    await eventually(() => got.length === 200, PATIENT)
    expect(got).toEqual(sent)
    expect(names).toEqual(new Set(['rates']))
    first.close()
    second.close()
    await eventually(async () => (await subscribers(owner)) === 0, PATIENT)
  }, 60_000)

  it('many of them, of every slot, are heard over one connection per master', async () => {
    const got = new Set<string>()
    const channels = Array.from({ length: 1000 }, (_, at) => rates.at(at))
    const subscriptions = channels.map((channel) => bus.subscribe(channel, (_rate, { parts }) => got.add(parts.join())))
    const ready = await Promise.all(subscriptions.map((each) => each.ready('20s')))
    expect(ready).not.toContain(false)
    for (const master of await cluster.masters()) expect(await subscribers(master)).toBe(1)
    await Promise.all(channels.map((channel) => sender.publish(channel, 1)))
    await eventually(() => got.size === 1000, PATIENT)
    bus.close()
    for (const master of await cluster.masters()) {
      await eventually(async () => (await subscribers(master)) === 0, PATIENT)
    }
  }, 60_000)

  it('follows its slot to another master, with one gap for it and none for its neighbours', async () => {
    const here = cluster.servers[0] as RedisServer
    const slot = slotOf(nameOf(rates))
    const owner = await ownerOf(slot, here)
    const neighbour = await findChannel(owner)
    const got: number[] = []
    const gaps: string[] = []
    const subscriptions = [
      bus.subscribe(rates, (rate) => void got.push(rate), { onGap: () => gaps.push('moved') }),
      bus.subscribe(neighbour, () => {}, { onGap: () => gaps.push('neighbour') }),
    ]
    expect(await Promise.all(subscriptions.map((each) => each.ready('10s')))).toEqual([true, true])

    const target = (await cluster.masters()).find((server) => server !== owner) as RedisServer
    const [to, from] = await Promise.all([target, owner].map((server) => server.client().cluster('MYID')))
    await target.client().call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(from))
    await owner.client().call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(to))
    for (const server of [target, owner]) await server.client().call('CLUSTER', 'SETSLOT', slot, 'NODE', String(to))

    await eventually(async () => ((await shardChannels(target)) as string[]).includes(nameOf(rates)), PATIENT)
    await untilHeard(got, 1)
    await eventually(() => gaps.length > 0, PATIENT)
    expect(gaps).toEqual(['moved'])
    expect(await shardChannels(owner)).toEqual([nameOf(neighbour)])
  }, 60_000)

  const killed = ['is killed', (server: RedisServer): unknown => server.kill()] as const
  const hung = ['hangs', (server: RedisServer): unknown => server.pause()] as const
  it.each(process.env.HOLDFAST_TEST_FULL === undefined ? [hung] : [killed, hung])(
    'is heard again after the owner of its slot %s and a replica takes over, and a gap is announced',
    async (_, end) => {
      const slot = slotOf(nameOf(rates))
      const owner = await ownerOf(slot, cluster.servers[0] as RedisServer)
      const other = cluster.servers.find((server) => server !== owner) as RedisServer
      const got: (number | 'gap')[] = []
      await bus.subscribe(rates, (rate) => void got.push(rate), { onGap: () => void got.push('gap') }).ready('10s')
      await sender.publish(rates, 1)
      await eventually(() => got.length === 1, PATIENT)
      await end(owner)
      await eventually(async () => (await ownerOf(slot, other)) !== owner, { within: 30_000, every: 50 })
      await untilHeard(got as number[], 2)
      expect(got.slice(0, 2)).toEqual([1, 'gap'])
      expect(got.filter((each) => each === 'gap')).toHaveLength(1)
      const numbers = got.filter((each) => each !== 'gap')
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
      expect(new Set(numbers).size).toBe(numbers.length)
    },
    90_000,
  )

  it('follows a planned failover, in which nothing dies', async () => {
    const slot = slotOf(nameOf(rates))
    const owner = await ownerOf(slot, cluster.servers[0] as RedisServer)
    const id = String(await owner.client().cluster('MYID'))
    const replicas = (await owner.client().call('CLUSTER', 'REPLICAS', id)) as string[]
    const replica = cluster.servers.find(({ port }) => replicas[0]?.includes(`:${port}@`)) as RedisServer
    const got: number[] = []
    let gaps = 0
    await bus.subscribe(rates, (rate) => void got.push(rate), { onGap: () => gaps++ }).ready('10s')
    await replica.client().cluster('FAILOVER')
    await eventually(async () => (await ownerOf(slot, replica)) === replica, PATIENT)
    await eventually(async () => ((await shardChannels(replica)) as string[]).length === 1, PATIENT)
    await untilHeard(got, 1)
    await eventually(async () => (await subscribers(owner)) === 0, PATIENT)
    // The old owner, a replica now, may have served it for a moment: two interruptions.
    expect([1, 2]).toContain(gaps)
  }, 60_000)

  it('that the user may not subscribe to is said once, and holds up no other', async () => {
    await Promise.all(
      cluster.servers.map((server) =>
        server.client().call('ACL', 'SETUSER', 'some', 'on', '>pw', '~*', '+@all', 'resetchannels', '&*rates'),
      ),
    )
    const lines: string[] = []
    const note = (line: string): void => void lines.push(line)
    const limited = createRedisManager({
      cluster: { nodes: cluster.nodes },
      username: 'some',
      password: 'pw',
      commandTimeout: '2s',
      logger: { info: () => {}, warn: note, error: note },
    })
    managers.push(limited)
    await limited.ready('10s')
    const own = createPubSub({ redis: limited })
    const refused = own.subscribe(defineChannel('secret', { sharded: true }), () => {})
    expect(await own.subscribe(rates, () => {}).ready('10s')).toBe(true)
    expect(await refused.ready(1500)).toBe(false)
    expect(lines.filter((line) => line.includes('HOLDFAST_SUBSCRIBE_REFUSED'))).toHaveLength(1)
  }, 60_000)

  async function findChannel(owner: RedisServer) {
    for (let at = 0; ; at++) {
      const channel = rates.at('neighbour', at)
      if ((await ownerOf(slotOf(nameOf(channel)), owner)) === owner) return channel
    }
  }
})

describe('a sharded channel where Redis', () => {
  it('is a Cluster too old for it is a plain channel', async () => {
    const renamed = ['SSUBSCRIBE', 'SPUBLISH'].flatMap((command) => ['--rename-command', command, ''])
    await joinCluster({ args: redisMajor >= 7 ? renamed : [] })
    const got: number[] = []
    const subscription = bus.subscribe(rates, (rate) => void got.push(rate))
    expect(await subscription.ready('10s')).toBe(true)
    expect(await sender.publish(rates, 1)).toEqual({ outcome: 'published' })
    await eventually(() => got.length === 1, PATIENT)
    subscription.close()
    for (const server of await cluster.masters()) {
      await eventually(async () => (await subscribers(server)) === 0, PATIENT)
    }
    expect(got).toEqual([1])
  }, 60_000)

  it('is no Cluster is a plain channel', async () => {
    const server = await startRedis()
    const single = createRedisManager({ url: server.url, commandTimeout: '2s', logger: false })
    try {
      await single.ready('10s')
      const own = createPubSub({ redis: single })
      const got: number[] = []
      await own.subscribe(rates, (rate) => void got.push(rate)).ready('10s')
      expect(await server.client().call('PUBSUB', 'CHANNELS')).toEqual([single.keys.key('pubsub', 'rates')])
      expect(await own.publish(rates, 1)).toEqual({ outcome: 'published' })
      await eventually(() => got.length === 1, PATIENT)
    } finally {
      await single.close()
      await server.stop()
    }
  })

  it('has no patterns for them: a branch of sharded channels is refused everywhere', async () => {
    const single = createRedisManager({ env: {}, logger: false })
    expect(() => createPubSub({ redis: single }).subscribe(rates.below, () => {})).toThrow('branch of sharded channels')
    expect(() => createPubSub({ redis: single }).subscribe(rates.at('eu').below, () => {})).toThrow('sharded')
    expect(() => defineChannel('x', { sharded: 'yes' as never })).toThrow('sharded')
    await single.close()
  })
})
