import { beforeEach, describe, expect, it } from '@jest/globals'
import type { RequestHandler } from 'express'
import fc from 'fast-check'
import request from 'supertest'
import type { RedisManager } from '../../src/redis/index.js'
import { responseCache } from '../../src/response-cache/index.js'
import { keyedParameter, keyedUrl } from '../../src/response-cache/query.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'
import { type AppOptions, appWith, itCounts, warmUp } from './app.js'

let server: RedisServer
let redis: RedisManager
useRedis(async (own) => {
  server = own.server
  redis = own.redis
  await warmUp(redis)
})
beforeEach(() => server.client().flushall())

const TRACKING = ['utm_*', 'gclid', 'fbclid']

describe('the parameters of the key', () => {
  it.each([
    ['/x?utm_source=a&page=2&gclid=1', '/x?page=2'],
    ['/x?utm_source=a', '/x'],
    ['/x?utm%5Fsource=a&a=1', '/x?a=1'],
    ['/x?utm_source[]=a&utm_source.b=c&gclid[x]=1', '/x'],
    ['/x?%67clid=1&a=1', '/x?a=1'],
    ['/x?a=utm_source&xgclid=1&gclidx=1&GCLID=1', '/x?a=utm_source&xgclid=1&gclidx=1&GCLID=1'],
    ['/x?page=2&utm_source=1;page=3', '/x?page=2'],
    ['/x', '/x'],
    ['/x?', '/x?'],
    ['/utm_source?=1', '/utm_source?=1'],
  ])('of %s without those for tracking are %s', (url, expected) => {
    const keyed = keyedParameter({ ignore: TRACKING })
    expect(keyed === undefined ? undefined : keyedUrl(url, keyed)).toBe(expected)
  })

  it.each([
    ['/x?page=2&size=9&evil=1', '/x?page=2&size=9'],
    ['/x?evil=1', '/x'],
    ['/x?page[]=1&page[]=2&__proto__[a]=1', '/x?page[]=1&page[]=2'],
    ['/x?&&page=1', '/x?page=1'],
  ])('of %s where page and size are allowed are %s', (url, expected) => {
    const keyed = keyedParameter({ allow: ['page', 'size'] })
    expect(keyed === undefined ? undefined : keyedUrl(url, keyed)).toBe(expected)
  })

  it('are those that are allowed and not ignored, in the order they came in', () => {
    const name = fc.constantFrom('page', 'size', 'utm_a', 'utm_b', 'x')
    const parameters = fc.array(fc.tuple(name, fc.constantFrom('', '=1', '=%26', '[]=2')))
    const keyed = keyedParameter({ allow: ['page', 'size', 'utm_*'], ignore: ['utm_b'] })
    fc.assert(
      fc.property(parameters, (list) => {
        const expected = list.filter(([each]) => ['page', 'size', 'utm_a'].includes(each)).map((each) => each.join(''))
        const url = keyedUrl(`/x?${list.map((each) => each.join('')).join('&')}`, keyed as never)
        expect(url.replace(/^\/x\??/, '')).toBe(expected.join('&'))
      }),
    )
  })

  it.each([{ ignoreQuery: ['a*b'] }, { ignoreQuery: [''] }, { allowQuery: ['filter[x]'] }, { allowQuery: 'page' }])(
    'are named plainly: %j is an error at construction',
    (options) => {
      expect(() => responseCache({ redis, ...options } as never)).toThrow(/"(ignore|allow)Query" must be an array of/)
    },
  )
})

describe.each([4, 5] as const)('a query on Express %i', (version) => {
  const echo: RequestHandler = (req, res) =>
    void res.json({ query: { ...req.query }, originalUrl: req.originalUrl, url: req.url })
  const shop = (options: Partial<AppOptions>) => appWith(echo, { redis, version, ...options })

  it('makes one answer, whatever campaign it comes from, and the campaign is in none', async () => {
    const { app, runs } = shop({ ignoreQuery: TRACKING })
    const first = await request(app).get('/shop?page=2&utm_source=%3Cscript%3E&gclid=1')
    expect(first.body).toEqual({ query: { page: '2' }, originalUrl: '/shop?page=2', url: '/shop?page=2' })
    const second = await request(app).get('/shop?utm_source=mail&page=2')
    expect([second.headers['x-cache'], second.body]).toEqual(['HIT', first.body])
    expect((await request(app).get('/shop?page=3')).headers['x-cache']).toBe('MISS')
    expect(runs()).toBe(2)
  })

  it('is bounded where it is allowed by name: what an attacker adds makes no further entry', async () => {
    const { app, runs } = shop({ allowQuery: ['page'] })
    for (let index = 0; index < 20; index++) {
      const { body } = await request(app).get(`/shop?page=1&cachebuster=${index}&__proto__[x]=${index}`)
      expect(body.query).toEqual({ page: '1' })
    }
    expect(runs()).toBe(1)
  })

  itCounts('is shown whole to a handler whose answer is not stored, and to loggers in any case', async () => {
    const logged: string[] = []
    const logger: RequestHandler = (req, res, next) => next(void res.on('finish', () => logged.push(req.originalUrl)))
    const { app } = shop({ ignoreQuery: TRACKING, before: [logger] })
    const posted = await request(app).post('/shop?utm_source=a')
    expect(posted.body.originalUrl).toBe('/shop?utm_source=a')
    const reload = await request(app).get('/shop?utm_source=a').set('Range', 'bytes=0-1')
    expect(reload.body.originalUrl).toBe('/shop?utm_source=a')
    await request(app).get('/shop?utm_source=b')
    await request(app).get('/shop?utm_source=c')
    expect(logged).toEqual(['a', 'a', 'b', 'c'].map((source) => `/shop?utm_source=${source}`))
  })

  it('is invalidated by any URL that means the same', async () => {
    const { app, cache } = shop({ ignoreQuery: TRACKING })
    const state = async () => (await request(app).get('/shop?page=2&utm_medium=x')).headers['x-cache']
    await state()
    expect(await state()).toBe('HIT')
    await cache.invalidate('/shop?page=2&gclid=5')
    expect([await state(), await state()]).toEqual(['MISS', 'HIT'])
    await request(app).post('/shop?gclid=9&page=2')
    expect(await state()).toBe('MISS')
  })
})
