import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { createPubSub, defineChannel, type MessageInfo, type StandardSchema } from '../../src/pubsub/index.js'
import { createRedisManager } from '../../src/redis/index.js'
import { startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { closeAll, join } from './support.js'

interface Order {
  readonly id: number
}
const orders = defineChannel<Order>('orders')

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
afterEach(closeAll)
afterAll(() => server.stop())

const numbers: StandardSchema<string | number, number> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) =>
      Number.isFinite(Number(value)) && value !== null
        ? { value: Number(value) }
        : { issues: [{ message: `${value} is not a number`, path: ['amount'] }] },
  },
}

describe('a message', () => {
  it('reaches every process that is subscribed, in the order it was published', async () => {
    const [one, two, sender] = [await join(server.url), await join(server.url), await join(server.url)]
    const got: number[][] = [[], []]
    const ready = [one, two].map(({ bus }, index) =>
      bus.subscribe(orders, ({ id }) => void got[index]?.push(id)).ready(),
    )
    expect(await Promise.all(ready)).toEqual([true, true])
    const ids = Array.from({ length: 500 }, (_, id) => id)
    const results = await Promise.all(ids.map((id) => sender.bus.publish(orders, { id })))
    expect(new Set(results.map(({ outcome }) => outcome))).toEqual(new Set(['published']))
    await eventually(() => got.every(({ length }) => length === 500))
    expect(got).toEqual([ids, ids])
  })

  it('of a channel below another reaches those who subscribed to the branch, with the parts of its name', async () => {
    const { bus } = await join(server.url)
    const got: [number, MessageInfo][] = []
    const subscription = bus.subscribe(orders.below, ({ id }, info) => void got.push([id, info]))
    await subscription.ready()
    await bus.publish(orders, { id: 1 })
    await bus.publish(orders.at('eu'), { id: 2 })
    await bus.publish(orders.at('eu', 17), { id: 3 })
    await bus.publish(defineChannel<Order>('orders-2').at('eu'), { id: 4 })
    await eventually(() => got.length === 2)
    expect(got).toEqual([
      [2, { parts: ['orders', 'eu'], local: false }],
      [3, { parts: ['orders', 'eu', '17'], local: false }],
    ])
  })

  it('is delivered to one handler although another of the same channel throws or rejects', async () => {
    const { bus, logged } = await join(server.url)
    const got: number[] = []
    bus.subscribe(orders, () => {
      throw new Error('handler broke')
    })
    bus.subscribe(orders, async () => {
      throw new Error('handler rejected')
    })
    await bus.subscribe(orders, ({ id }) => void got.push(id)).ready()
    await bus.publish(orders, { id: 1 })
    await bus.publish(orders, { id: 2 })
    await eventually(() => got.length === 2)
    expect(logged.filter((line) => /handler (broke|rejected)/.test(line))).toHaveLength(4)
  })

  it('goes to no handler whose subscription was closed, and the rest still get it', async () => {
    const { bus } = await join(server.url)
    const got: string[] = []
    const first = bus.subscribe(orders, () => void got.push('first'))
    const second = bus.subscribe(orders, () => void got.push('second'))
    await second.ready()
    first.close()
    first.close()
    await bus.publish(orders, { id: 1 })
    await eventually(() => got.length > 0)
    bus.close()
    await eventually(async () => ((await server.client().pubsub('CHANNELS')) as string[]).length === 0)
    expect(got).toEqual(['second'])
  })

  it('crosses a Cluster, whichever node its two ends are connected to', async () => {
    const cluster = await startCluster()
    const managers = [1, 2, 3].map(() =>
      createRedisManager({ cluster: { nodes: cluster.nodes }, logger: false, commandTimeout: 2000 }),
    )
    try {
      await Promise.all(managers.map((redis) => redis.ready('5s')))
      const buses = managers.map((redis) => createPubSub({ redis }))
      const got: number[][] = [[], [], []]
      await Promise.all(buses.map((bus, at) => bus.subscribe(orders, ({ id }) => void got[at]?.push(id)).ready('5s')))
      for (const [id, bus] of buses.entries()) {
        expect(await bus.publish(orders, { id })).toEqual({ outcome: 'published' })
      }
      await eventually(() => got.every(({ length }) => length === 3))
    } finally {
      await Promise.all(managers.map((redis) => redis.close()))
      await cluster.stop()
    }
  }, 60_000)
})

describe('a schema', () => {
  const amounts = defineChannel('amounts', { schema: numbers })

  it('decides what may be published, and gives the handler its output', async () => {
    const { bus } = await join(server.url)
    const got: number[] = []
    await bus.subscribe(amounts, (amount) => void got.push(amount)).ready()
    await expect(bus.publish(amounts, 'secret-word')).rejects.toMatchObject({
      code: 'ERR_HOLDFAST_PAYLOAD',
      problem: 'invalid',
      message: 'publish: the message does not match its schema at "amount"',
    })
    await bus.publish(amounts, '17')
    await eventually(() => got.length === 1)
    expect(got).toEqual([17])
  })

  it('keeps what somebody else published wrongly away from the handler, and says so', async () => {
    const { bus, redis, logged } = await join(server.url)
    const problems: unknown[] = []
    redis.on('pubsub.invalid', (event) => void problems.push(event))
    const got: number[] = []
    await bus.subscribe(amounts, (amount) => void got.push(amount)).ready()
    const name = redis.keys.key('pubsub', 'amounts')
    for (const bad of ['"no number"', '{"__proto__":{"polluted":1}}', '\u0000\u00ff', '', '[1']) {
      await server.client().publish(name, bad)
    }
    await server.client().publish(name, '5')
    await eventually(() => got.length === 1)
    expect(got).toEqual([5])
    expect(problems).toHaveLength(5)
    expect(logged.filter((line) => line.includes('HOLDFAST_PUBSUB_INVALID'))).toHaveLength(1)
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })

  it('that is asynchronous or throws refuses instead of letting messages overtake each other', async () => {
    const { bus } = await join(server.url)
    const schemaOf = (validate: () => never): StandardSchema<number> => ({
      '~standard': { version: 1, vendor: 'test', validate },
    })
    const slow = schemaOf((() => Promise.reject(new Error('late'))) as () => never)
    const broken = schemaOf(() => {
      throw new TypeError('with a secret')
    })
    const publish = (schema: StandardSchema<number>) => bus.publish(defineChannel('x', { schema }), 1)
    await expect(publish(slow)).rejects.toThrow('the schema is asynchronous')
    await expect(publish(broken)).rejects.toThrow('the schema threw TypeError')
    await expect(publish(broken)).rejects.not.toThrow('secret')
  })
})

describe('bad input', () => {
  it.each([
    ['a cycle', () => Object.assign({}, { self: cycle }), 'not-json'],
    ['a BigInt', () => 1n, 'not-json'],
    ['undefined', () => undefined, 'not-json'],
    ['more than maxBytes', () => 'é'.repeat(600), 'too-large'],
  ])('rejects %s with a clear error and sends nothing', async (_, payload, problem) => {
    const { bus } = await join(server.url, { maxBytes: 1000 })
    await expect(bus.publish(defineChannel<unknown>('any'), payload())).rejects.toMatchObject({
      code: 'ERR_HOLDFAST_PAYLOAD',
      problem,
    })
  })

  it.each(['', 'x'.repeat(201), '\ud800'])('refuses the name %j', (name) => {
    expect(() => defineChannel(name)).toThrow('1 to 200 characters')
    expect(() => orders.at(name)).toThrow('1 to 200 characters')
  })

  it('refuses options out of their range, and schemas that are none', () => {
    const redis = createRedisManager({ env: {}, logger: false })
    expect(() => createPubSub({ redis, maxBytes: 0 })).toThrow('maxBytes')
    expect(() => createPubSub({} as never)).toThrow('"redis" is required')
    expect(() => defineChannel('x', { schema: {} as never })).toThrow('Standard Schema')
  })

  it('names of any characters are one channel each, and their parts come back as they were', async () => {
    const { bus } = await join(server.url)
    const part = fc.string({ minLength: 1, maxLength: 30, unit: 'binary' }).filter((text) => text.isWellFormed())
    const special = fc.constantFrom('a:b', '{x}', '*', '?', 'a\nb', '%', '~', '[a-z]', 'a b', '__proto__', '\\')
    const samples = fc.sample(fc.array(fc.oneof(special, part), { minLength: 1, maxLength: 3 }), 60)
    const unique = [...new Map(samples.map((parts) => [JSON.stringify(parts), parts])).values()]
    const root = defineChannel<string>('names')
    const branch: (readonly string[])[] = []
    const direct: string[] = []
    const subscriptions = [
      bus.subscribe(root.below, (_text, { parts }) => void branch.push(parts)),
      ...unique.map((parts) =>
        bus.subscribe(root.at(...parts), (text) => void direct.push(text === JSON.stringify(parts) ? text : 'wrong')),
      ),
    ]
    await Promise.all(subscriptions.map((each) => each.ready('5s')))
    for (const parts of unique) await bus.publish(root.at(...parts), JSON.stringify(parts))
    await eventually(() => branch.length === unique.length && direct.length === unique.length)
    expect(branch).toEqual(unique.map((parts) => ['names', ...parts]))
    expect(direct).toEqual(unique.map((parts) => JSON.stringify(parts)))
  })
})

const cycle: { self?: unknown } = {}
cycle.self = cycle
