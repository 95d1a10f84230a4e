import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals'
import { createPreferences } from '../../src/preferences/index.js'
import { closeAll, ready } from '../redis/support.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
afterEach(closeAll)
afterAll(() => server.stop())

it('tells where each value came from and what became of each write', async () => {
  const { redis } = await ready({ url: server.url, commandTimeout: '2s' })
  const preferences = createPreferences({ redis, name: 'shop', defaults: { theme: 'light' }, local: { ttl: '1m' } })
  // The first read begins to listen for changes, which empties what is kept here.
  await preferences.get('ann', 'theme')
  await redis.subscriber.subscribe(redis.keys.key('preferences', 'shop', 'changed'), () => {}).ready(10_000)
  const seen: string[] = []
  const off = redis.on('preferences', ({ name, operation, outcome, durationMs }) => {
    expect(durationMs).toBeGreaterThanOrEqual(0)
    seen.push(`${name} ${operation} ${outcome}`)
  })
  await preferences.all('bob')
  await preferences.get('bob', 'theme')
  const { version } = await preferences.read('bob')
  await preferences.set('bob', 'theme', 'dark')
  expect(await preferences.compareAndSet('bob', version, { theme: 'blue' })).toBe(false)
  await preferences.export('bob')
  await preferences.get('bob', 'theme')
  await redis.close()
  await preferences.get('bob', 'theme')
  await preferences.get('new', 'theme')
  await expect(preferences.erase('bob')).rejects.toMatchObject({ code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE' })
  off()
  await preferences.get('new', 'theme')
  expect(seen).toEqual(
    [
      'get redis',
      'get local',
      'read redis',
      'write written',
      'write conflict',
      'export redis',
      'get redis',
      'get local',
      'get default',
      'erase failed',
    ].map((what) => `shop ${what}`),
  )
})

it('tells where the last value that was known is given because Redis is away', async () => {
  const { redis } = await ready({ url: server.url, commandTimeout: '2s' })
  const preferences = createPreferences({ redis, defaults: { theme: 'light' }, local: { ttl: 1 } })
  await preferences.set('ann', 'theme', 'dark')
  await redis.subscriber.subscribe(redis.keys.key('preferences', 'default', 'changed'), () => {}).ready(10_000)
  await preferences.get('ann', 'theme')
  await new Promise((resolve) => setTimeout(resolve, 50))
  await preferences.get('ann', 'theme')
  await new Promise((resolve) => setTimeout(resolve, 50))
  const seen: string[] = []
  redis.on('preferences', ({ outcome }) => void seen.push(outcome))
  await redis.close()
  expect(await preferences.get('ann', 'theme')).toBe('dark')
  expect(seen).toEqual(['stale'])
})
