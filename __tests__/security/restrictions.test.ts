import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createRedisManager } from '../../src/redis/index.js'
import { createRestrictions } from '../../src/security/restrictions.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

let server: RedisServer
const cleanUp: (() => unknown)[] = []
beforeAll(async () => {
  server = await startRedis()
})
afterAll(async () => {
  for (const step of cleanUp.reverse()) await step()
  await server.stop()
})

async function start(keyPrefix: string, now = Date.now) {
  const redis = createRedisManager({ url: server.url, logger: false, keyPrefix, commandTimeout: 2000 })
  await redis.ready()
  const restrictions = createRestrictions({ redis, duration: 60_000, maxDuration: 600_000, now })
  cleanUp.push(
    () => redis.close(),
    () => restrictions.close(),
  )
  return { redis, restrictions }
}

describe('restrictions', () => {
  it('imposed while Redis was away reach the other processes on its return', async () => {
    const one = await start('away')
    const two = await start('away')
    await server.kill()
    await eventually(() => !one.redis.available && !two.redis.available)
    one.restrictions.impose('network|x', 'block', 'honeypot')
    expect(one.restrictions.find('network|x', 'block')).toMatchObject({ action: 'block', strikes: 1 })
    expect(two.restrictions.find('network|x', 'block')).toBeUndefined()
    await server.restart()
    await eventually(() => two.restrictions.find('network|x', 'block') !== undefined, { within: 5000 })
  })

  it('are known to a process that starts later', async () => {
    const one = await start('late')
    one.restrictions.impose('network|y', 'block', 'honeypot')
    await one.restrictions.refresh()
    const two = await start('late')
    await eventually(() => two.restrictions.find('network|y', 'block') !== undefined)
  })

  it('forget what is a day old, and leave nothing of it in Redis', async () => {
    let now = Date.now()
    const { redis, restrictions } = await start('old', () => now)
    restrictions.impose('network|z', 'block', 'honeypot')
    await restrictions.refresh()
    const key = redis.keys.key('security', 'restrictions')
    expect(await server.client().hlen(key)).toBe(1)
    now += 2 * 86_400_000
    await restrictions.refresh()
    expect(await server.client().hlen(key)).toBe(0)
    expect(restrictions.impose('network|z', 'block', 'honeypot')?.strikes).toBe(1)
  })

  it('take no orders from foreign bytes', async () => {
    const { redis, restrictions } = await start('foreign')
    const key = redis.keys.key('security', 'restrictions')
    const valid = JSON.stringify([
      'block|network|v',
      { action: 'block', until: Date.now() + 1e6, strikes: 1, detector: 'd' },
    ])
    const wrong = [
      ...['', 'null', '[]', '{"a":1}', '["network|v"]', '["block|network|v",{"action":"explode"}]', '[1,2]', '{{'],
      '["block|network|v",{"action":"block","until":"soon","strikes":1,"detector":"d"}]',
      '["delay|network|v",{"action":"block","until":9e15,"strikes":1,"detector":"d"}]',
    ]
    for (const [index, message] of wrong.entries()) {
      await server.client().hset(key, `f${index}`, message)
      await server.client().publish(key, message)
    }
    await server.client().hset(key, 'network|other', valid)
    await restrictions.refresh()
    expect(restrictions.list().size).toBe(0)
    expect(await server.client().hlen(key)).toBe(0)
    await server.client().hset(key, 'block|network|v', valid)
    await restrictions.refresh()
    expect(restrictions.list().size).toBe(1)
  })

  it('of different actions do not stand in each other’s way, and are lifted together', async () => {
    const { restrictions } = await start('actions')
    restrictions.impose('account|a', 'delay', 'bruteForceAccount')
    expect(restrictions.impose('account|a', 'stepUp', 'successAfterFailures')).toBeDefined()
    expect(restrictions.impose('account|a', 'delay', 'bruteForceAccount')).toBeUndefined()
    expect(restrictions.find('account|a', 'stepUp')).toBeDefined()
    expect(await restrictions.lift('account|a')).toBe(true)
    expect(restrictions.list().size).toBe(0)
  })

  it('are bounded in number', async () => {
    const redis = createRedisManager({ env: {}, logger: false })
    const restrictions = createRestrictions({ redis, duration: 60_000, maxDuration: 600_000, now: Date.now })
    for (let n = 0; n < 12_000; n++) restrictions.impose(`network|${n}`, 'block', 'd')
    expect(restrictions.list().size).toBe(10_000)
    restrictions.close()
    await redis.close()
  })
})
