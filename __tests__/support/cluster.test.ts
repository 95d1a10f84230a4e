import { Cluster } from 'ioredis'
import { type RedisCluster, startCluster } from './cluster.js'
import { eventually } from './eventually.js'

let cluster: RedisCluster
let client: Cluster

beforeAll(async () => {
  cluster = await startCluster({ nodeTimeout: 1000 })
  client = new Cluster(cluster.nodes)
  client.on('error', () => {})
})
afterAll(async () => {
  client.disconnect()
  await cluster.stop()
})

test('accepts writes to every part of the key space', async () => {
  const keys = Array.from({ length: 50 }, (_, index) => `key:${index}`)
  await Promise.all(keys.map((key) => client.set(key, key)))
  expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys)
  const sizes = await Promise.all((await cluster.masters()).map((master) => master.client().dbsize()))
  expect(sizes).toHaveLength(3)
  expect(Math.min(...sizes)).toBeGreaterThan(0)
})

test('a replica takes over from a master that is killed', async () => {
  const [victim] = await cluster.masters()
  await victim?.kill()
  await eventually(
    async () => {
      const masters = await cluster.masters()
      return masters.length === 3 && !masters.includes(victim as NonNullable<typeof victim>)
    },
    { within: 15_000, every: 100 },
  )
})
