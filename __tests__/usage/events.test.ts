import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals'
import { createUsage, type UsageWritten } from '../../src/usage/index.js'
import { closeAll, ready } from '../redis/support.js'
import { eventually } from '../support/eventually.js'
import { startProxy, type TcpProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

let server: RedisServer
let proxy: TcpProxy
beforeAll(async () => {
  server = await startRedis()
  proxy = await startProxy(server.port)
})
afterEach(closeAll)
afterAll(async () => {
  await proxy.stop()
  await server.stop()
})

it('tells of every write, how many calls it held, and of those whose answer did not come', async () => {
  const { redis } = await ready({ url: proxy.url, commandTimeout: '2s' })
  const usage = createUsage({ redis, flushInterval: '1m' })
  const seen: UsageWritten[] = []
  redis.on('usage.written', (event) => void seen.push(event))
  for (let i = 0; i < 7; i++) usage.track('ann', 'search')
  expect(await usage.flush()).toBe(true)
  expect(seen.map(({ calls, outcome }) => [calls, outcome])).toEqual([[7, 'written']])
  expect(seen[0]?.durationMs).toBeGreaterThan(0)

  usage.track('ann', 'search')
  proxy.latency(30_000)
  expect(await usage.flush()).toBe(false)
  expect(seen.at(-1)).toMatchObject({ calls: 1, outcome: 'late' })
  proxy.reset()
  proxy.pass()
  await eventually(() => usage.flush(), { within: 10_000 })
  expect(seen.at(-1)).toMatchObject({ calls: 1, outcome: 'written' })
  await usage.close()
})
