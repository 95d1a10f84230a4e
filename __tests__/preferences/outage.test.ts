import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import express from 'express'
import { createPreferences } from '../../src/preferences/index.js'
import { describeDegradation } from '../contract/degradation.js'
import { closeAll, ready } from '../redis/support.js'
import { type RedisCluster, startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'
import { startProxy } from '../support/proxy.js'
import { startRedis } from '../support/redis-server.js'

const defaults = { theme: 'light', pageSize: 20 }
const unavailable = { code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE' }

describeDegradation('preferences', {
  mount: (redis) => {
    const preferences = createPreferences({ redis, defaults, local: false })
    const app = express()
    app.get('/', async (_req, res) => {
      res.json(await preferences.all('ann'))
    })
    app.get('/dark', async (_req, res) => {
      await preferences.set('ann', 'theme', 'dark')
      res.sendStatus(204)
    })
    return app
  },
  whenUp: (get) =>
    // On a busy machine one command may miss its deadline.
    eventually(async () => {
      expect((await get('/dark')).status).toBe(204)
      expect(JSON.parse((await get('/')).body)).toEqual({ theme: 'dark', pageSize: 20 })
    }),
  whenAway: ({ body }) => {
    expect(JSON.parse(body)).toEqual(defaults)
  },
})

describe('preferences while Redis is away', () => {
  afterEach(closeAll)

  it('are the last that were known here; writes reject; what others changed is seen after its return', async () => {
    const server = await startRedis()
    const proxy = await startProxy(server.port)
    const { redis } = await ready({ url: proxy.url, commandTimeout: '1s' })
    const preferences = createPreferences({ redis, defaults, local: { ttl: '1m' } })
    await preferences.set('ann', 'theme', 'dark')
    expect(await preferences.get('ann', 'theme')).toBe('dark')
    await proxy.refuse()
    await eventually(() => !redis.available)
    expect(await preferences.all('ann')).toEqual({ theme: 'dark', pageSize: 20 })
    expect(await preferences.all('bob')).toEqual(defaults)
    await expect(preferences.set('ann', 'theme', 'blue')).rejects.toMatchObject(unavailable)
    await expect(preferences.update('ann', () => ({ theme: 'blue' }))).rejects.toMatchObject(unavailable)
    await expect(preferences.erase('ann')).rejects.toMatchObject(unavailable)
    await expect(preferences.export('ann')).rejects.toMatchObject(unavailable)
    expect(await preferences.get('ann', 'theme')).toBe('dark')
    await server.client().hset('holdfast:preferences:default:user:ann', 'theme', '"green"')
    await proxy.accept()
    await eventually(async () => (await preferences.get('ann', 'theme')) === 'green', { within: 10_000 })
    preferences.close()
    await redis.close()
    await proxy.stop()
    await server.stop()
  })

  it('are not believed after a write whose outcome is unknown', async () => {
    const server = await startRedis()
    const { redis } = await ready({ url: server.url })
    const preferences = createPreferences({ redis, defaults, local: { ttl: '1m' } })
    await preferences.all('ann')
    server.pause()
    await expect(preferences.set('ann', 'theme', 'dark')).rejects.toMatchObject({ ...unavailable, reason: 'timeout' })
    server.resume()
    await eventually(async () => (await preferences.get('ann', 'theme')) === 'dark', { within: 10_000 })
    preferences.close()
    await redis.close()
    await server.stop()
  })
})

describe('on a Cluster', () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startCluster()
  }, 60_000)
  afterAll(async () => {
    await closeAll()
    await cluster.stop()
  })

  it('a change of any user reaches every process', async () => {
    const both = await Promise.all(
      [0, 1].map(async () => {
        const { redis } = await ready({ cluster: { nodes: cluster.nodes }, commandTimeout: '1s' })
        return createPreferences({ redis, defaults, local: { ttl: '1m' } })
      }),
    )
    const [here, there] = both as [(typeof both)[0], (typeof both)[0]]
    const users = Array.from({ length: 20 }, (_, index) => `user {${index}}`)
    // Until the subscription stands, a change may go unheard.
    await eventually(
      async () => {
        await here.set('probe', 'pageSize', Math.random())
        const { values } = await here.read('probe')
        await there.all('probe')
        await here.set('probe', 'pageSize', values.pageSize + 1)
        return eventually(async () => (await there.get('probe', 'pageSize')) === values.pageSize + 1, {
          within: 1000,
        })
      },
      { within: 20_000 },
    )
    for (const user of users) {
      expect(await there.get(user, 'theme')).toBe('light')
      await here.update(user, () => ({ theme: user }))
      await eventually(async () => (await there.get(user, 'theme')) === user)
      expect(await here.erase(user)).toBe(true)
    }
    for (const preferences of both) preferences.close()
  })
})
