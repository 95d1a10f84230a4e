import { beforeEach, describe, expect, it } from '@jest/globals'
import type { Express, RequestHandler } from 'express'
import request from 'supertest'
import type { RedisManager } from '../../src/redis/index.js'
import { joinedNames, parseVary } from '../../src/response-cache/vary.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'
import { appWith, warmUp } from './app.js'

let server: RedisServer
let redis: RedisManager
useRedis(async (own) => {
  server = own.server
  redis = own.redis
  await warmUp(redis)
})
beforeEach(() => server.client().flushall())

const echo: RequestHandler = (req, res) => void res.vary('Accept-Language').send(String(req.get('accept-language')))
const get = (app: Express, language: string) => request(app).get('/').set('Accept-Language', language)
/** Of the one resource asked for: its variants, without the list of their names. */
const stored = async () => (await server.client().keys('holdfast:responses:default:*.*')).length

describe('variants of one resource', () => {
  it('stay 100 at most under 1,000 made-up values, and every client is answered rightly', async () => {
    const { app } = appWith(echo, { redis })
    for (let round = 0; round < 20; round++) {
      const values = Array.from({ length: 50 }, (_, index) => `x-${round}-${index}`)
      const answers = await Promise.all(values.map((value) => get(app, value)))
      expect(answers.map(({ text }) => text)).toEqual(values)
    }
    await eventually(async () => (await stored()) <= 100)
    expect(await stored()).toBeGreaterThan(50)
    expect((await get(app, 'de')).text).toBe('de')
    expect((await get(app, 'de')).headers['x-cache']).toBe('HIT')
  })

  it('make room oldest first', async () => {
    const { app, runs } = appWith(echo, { redis, maxVariants: 3 })
    for (const language of ['a', 'b', 'c', 'd']) await get(app, language)
    await eventually(async () => (await stored()) === 3)
    for (const language of ['b', 'c', 'd']) expect((await get(app, language)).headers['x-cache']).toBe('HIT')
    expect(runs()).toBe(4)
    const again = await get(app, 'a')
    expect([again.headers['x-cache'], again.text]).toEqual(['MISS', 'a'])
    await eventually(async () => (await get(app, 'a')).headers['x-cache'] === 'HIT')
  })

  it('are counted for each resource by itself, and forgotten with them', async () => {
    const { app } = appWith(echo, { redis, maxVariants: 2, ttl: '1m' })
    for (const path of ['/1', '/2', '/3']) {
      for (const language of ['a', 'b']) await request(app).get(path).set('Accept-Language', language)
    }
    await eventually(async () => (await stored()) === 6)
    const lists = await server.client().keys('holdfast:responses-variants:*')
    expect(lists).toHaveLength(3)
    for (const key of lists) {
      const ttl = await server.client().pttl(key)
      expect(ttl).toBeGreaterThan(0)
      expect(ttl).toBeLessThanOrEqual(60_000)
    }
  })
})

describe('the names in Vary', () => {
  it('add up over answers that disagree, but not without end', () => {
    let names: readonly string[] = []
    for (let index = 0; index < 100; index++) {
      names = joinedNames(names, parseVary([`x-${index}`]) as string[])
      expect(names).toContain(`x-${index}`)
      expect(names.length).toBeLessThanOrEqual(16)
    }
    expect(joinedNames(['a', 'c'], ['b', 'c'])).toEqual(['a', 'b', 'c'])
  })
})
