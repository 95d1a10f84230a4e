import { Redis } from 'ioredis'
import { eventually } from './eventually.js'
import type { RedisServer } from './redis-server.js'
import { type Sentinels, startSentinels } from './sentinel.js'

let group: Sentinels

beforeAll(async () => {
  group = await startSentinels()
})
afterAll(() => group.stop())

function masterPorts(): Promise<unknown[]> {
  const ask = async (sentinel: RedisServer) => {
    const address = await sentinel.client().call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', group.name)
    return Number((address as string[])[1])
  }
  return Promise.all(group.sentinelServers.map(ask))
}

function connect(): Redis {
  const redis = new Redis({ sentinels: group.sentinels, name: group.name, sentinelRetryStrategy: () => 50 })
  return redis.on('error', () => {})
}

test('every sentinel reports the master', async () => {
  const { port } = group.master
  expect(await masterPorts()).toEqual([port, port, port])
})

test('the replica takes over from a master that hangs, and clients follow', async () => {
  const { master, replica } = group
  const before = connect()
  await before.set('kept', 'yes')
  await before.wait(1, 5000)
  before.disconnect()

  master.pause()
  await eventually(async () => (await masterPorts()).every((port) => port === replica.port), { within: 15_000 })
  const after = connect()
  expect(await after.get('kept')).toBe('yes')
  after.disconnect()
})
