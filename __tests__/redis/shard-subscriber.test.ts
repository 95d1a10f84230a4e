import { afterEach, expect, it } from '@jest/globals'
import { Redis } from 'ioredis'
import { createShardSubscriber } from '../../src/redis/shard-subscriber.js'
import { createLine } from '../../src/redis/subscription-line.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { redisMajor } from '../support/redis-version.js'

const cleanUp: (() => unknown)[] = []
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

async function aServer(...args: string[]): Promise<RedisServer> {
  const server = await startRedis({ args })
  cleanUp.push(() => server.stop())
  return server
}

const WITHIN = { within: 15_000, every: 20 }

/** Two servers stand for two masters: a slot is moved by naming the other. */
const sinceSeven = redisMajor >= 7 ? it : it.skip

sinceSeven(
  'a channel whose slot comes to a server that knows shard channels becomes one, and a gap is announced',
  async () => {
    const old = await aServer('--rename-command', 'SSUBSCRIBE', '')
    const current = await aServer()
    const servers = new Map([
      ['old', old],
      ['current', current],
    ])
    let owner: string | undefined = 'old'
    const open = (name: string) => {
      const server = servers.get(name)
      return server && new Redis({ port: server.port, retryStrategy: () => null }).on('error', () => {})
    }
    const plain = createLine({ open: () => open('old'), onError: () => {} })
    const refused: Error[] = []
    const shard = createShardSubscriber({
      shards: { ownerOf: () => owner, open, refresh: () => {} },
      plain,
      onError: () => {},
      onRefused: (error) => refused.push(error),
    })
    cleanUp.push(
      () => plain.close(),
      () => shard.close(),
    )

    const got: string[] = []
    const subscription = shard.subscribe(
      'c',
      (message) => got.push(message),
      () => got.push('gap'),
    )
    expect(await subscription.ready(10_000)).toBe(true)
    expect(await old.client().publish('c', 'plain')).toBe(1)
    await eventually(() => got.length === 1, WITHIN)

    owner = undefined
    expect(subscription.confirmed).toBe(true)
    owner = 'current'
    await eventually(async () => (await current.client().spublish('c', 'sharded')) === 1, WITHIN)
    await eventually(() => got.includes('sharded'), WITHIN)
    expect(got[0]).toBe('plain')
    expect(got.filter((text) => text === 'gap')).toHaveLength(1)
    await eventually(async () => (await old.client().publish('c', 'nobody')) === 0, WITHIN)
    expect(refused).toEqual([])

    subscription.close()
    expect(await subscription.ready(10_000)).toBe(false)
    await eventually(async () => (await current.client().spublish('c', 'nobody')) === 0, WITHIN)
  },
)

it('who waits for a channel nobody owns is told so when it is closed, and the other when everything is', async () => {
  const plain = createLine({ open: () => undefined, onError: () => {} })
  const shard = createShardSubscriber({
    shards: { ownerOf: () => undefined, open: () => undefined, refresh: () => {} },
    plain,
    onError: () => {},
    onRefused: () => {},
  })
  const [first, second] = [shard.subscribe('a', () => {}, undefined), shard.subscribe('b', () => {}, undefined)]
  const [one, two] = [first.ready(60_000), second.ready(60_000)]
  first.close()
  expect(await one).toBe(false)
  shard.close()
  expect(await two).toBe(false)
  expect(await shard.subscribe('c', () => {}, undefined).ready(60_000)).toBe(false)
  plain.close()
})
