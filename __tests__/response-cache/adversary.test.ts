import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import express, { type Express, type RequestHandler } from 'express'
import session from 'express-session'
import request from 'supertest'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { appWith, raw, warmUp } from './app.js'

let server: RedisServer
let redis: RedisManager

beforeAll(async () => {
  server = await startRedis()
  redis = createRedisManager({ url: server.url, logger: false, commandTimeout: '10s' })
  await redis.ready('10s')
  await warmUp(redis)
})
afterAll(async () => {
  await redis.close()
  await server.stop()
})
beforeEach(() => server.client().flushall())

/** What a victim is given after an attacker has asked first. */
async function poisoned(
  app: Express,
  attack: (app: Express) => Promise<unknown>,
  path = '/',
): Promise<request.Response> {
  await attack(app)
  await attack(app)
  return request(app).get(path)
}

const get =
  (path: string, headers: Record<string, string> = {}) =>
  (app: Express) =>
    request(app)
      .get(path)
      .set(headers)
      .then(
        (res) => res,
        () => undefined,
      )

describe('cache poisoning', () => {
  it('by the Host header', async () => {
    const { app } = appWith((req, res) => void res.send(`<link href="//${req.get('host')}/x.css">`), { redis })
    const victim = await poisoned(app, get('/', { Host: 'evil.example' }))
    expect(victim.text).not.toContain('evil')
    expect(victim.headers['x-cache']).toBe('MISS')
  })

  it('by the Host header’s port', async () => {
    const { app } = appWith((req, res) => void res.redirect(308, `http://${req.get('host')}/home`), { redis })
    await get('/', { Host: 'shop.example:1337' })(app)
    const victim = await request(app).get('/').set('Host', 'shop.example').redirects(0)
    expect(victim.headers.location).toBe('http://shop.example/home')
  })

  it('by X-Forwarded-Host, which nobody trusts unless told to', async () => {
    const { app } = appWith((req, res) => void res.send(`//${req.hostname}/x.js`), { redis })
    const victim = await poisoned(app, get('/', { 'X-Forwarded-Host': 'evil.example' }))
    expect(victim.text).not.toContain('evil')
  })

  it('by X-Forwarded-Host through a trusted proxy: keyed', async () => {
    const { app } = appWith((req, res) => void res.send(`//${req.hostname}/x.js`), { redis })
    app.set('trust proxy', true)
    const victim = await poisoned(app, get('/', { 'X-Forwarded-Host': 'evil.example' }))
    expect(victim.text).not.toContain('evil')
  })

  it('by Host beside an empty X-Forwarded-Host through a trusted proxy: keyed', async () => {
    const { app } = appWith((req, res) => void res.send(`//${req.hostname}/x.js`), { redis })
    app.set('trust proxy', true)
    await get('/', { Host: 'evil.example', 'X-Forwarded-Host': '' })(app)
    const victim = await request(app).get('/').set({ Host: 'shop.example', 'X-Forwarded-Host': '' })
    expect(victim.text).toBe('//shop.example/x.js')
  })

  it('by X-Forwarded-Proto through a trusted proxy: keyed', async () => {
    const { app } = appWith(
      (req, res) => void (req.secure ? res.send('home') : res.redirect(301, `https://${req.hostname}/`)),
      { redis },
    )
    app.set('trust proxy', true)
    await get('/', { 'X-Forwarded-Proto': 'http' })(app)
    const victim = await request(app).get('/').set('X-Forwarded-Proto', 'https')
    expect([victim.status, victim.text]).toEqual([200, 'home'])
  })

  it('by a method override: the method that Express sees decides', async () => {
    const override: RequestHandler = (req, _res, next) => {
      req.method = String(req.headers['x-http-method-override'] ?? req.method)
      next()
    }
    const { app } = appWith((req, res) => void res.send(req.method), { redis, before: [override] })
    const victim = await poisoned(app, get('/', { 'X-HTTP-Method-Override': 'POST' }))
    expect(victim.text).toBe('GET')
  })

  it('by a HEAD request that is answered without a body', async () => {
    const { app } = appWith((_req, res) => void res.send('whole'), { redis })
    const victim = await poisoned(app, (each) => request(each).head('/'))
    expect(victim.text).toBe('whole')
  })

  it('by a fat GET: its body is not part of the key', async () => {
    const { app } = appWith((req, res) => void res.send(`q=${req.body?.q}`), { redis, before: [express.json()] })
    const victim = await poisoned(app, (each) => request(each).get('/').send({ q: 'evil' }))
    expect(victim.text).toBe('q=undefined')
  })

  it('by a fat GET in chunks', async () => {
    const { app } = appWith((req, res) => void res.send(String(req.headers['transfer-encoding'])), { redis })
    await raw(
      app,
      'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n\r\n',
    )
    expect((await request(app).get('/')).text).toBe('undefined')
  })

  it.each([
    ['a duplicate parameter', '/?id=1&id=evil', '/?id=1'],
    ['a duplicate parameter, first', '/?id=evil&id=1', '/?id=1'],
    ['a semicolon', '/?x=1;id=evil&id=1', '/?x=1&id=1'],
    ['an encoded ampersand', '/?id=1%26id=evil', '/?id=1'],
    ['an encoded name', '/?%69d=evil&id=1', '/?id=1'],
    ['an array', '/?id[]=evil&id=1', '/?id=1'],
    ['__proto__', '/?__proto__[id]=evil&id=1', '/?id=1'],
    ['constructor', '/?constructor[prototype][id]=evil&id=1', '/?id=1'],
    ['a tracking parameter', '/?utm_content=evil&id=1', '/?id=1'],
  ])('by parameter cloaking with %s', async (_name, attack, path) => {
    const { app } = appWith((req, res) => void res.send(req.originalUrl), { redis })
    expect((await poisoned(app, get(attack), path)).text).toBe(path)
  })

  it.each([
    ['dot segments', '/static/..%2faccount', '/account'],
    ['a double slash', '//account', '/account'],
    ['an encoded slash', '/a%2fb', '/a/b'],
    ['case', '/ACCOUNT', '/account'],
    ['an encoded letter', '/%61ccount', '/account'],
    ['a fragment', '/account%23x', '/account'],
    ['a trailing slash', '/account/', '/account'],
    ['a null byte', '/account%00.css', '/account'],
  ])('by path normalisation with %s', async (_name, attack, path) => {
    const { app } = appWith((req, res) => void res.send(req.originalUrl), { redis })
    expect((await poisoned(app, get(attack), path)).text).toBe(path)
  })

  it('by an absolute request target that names another host', async () => {
    const { app } = appWith((req, res) => void res.send(`${req.originalUrl}`), { redis })
    await raw(app, 'GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n')
    expect((await request(app).get('/')).text).toBe('/')
  })

  it('by a fragment, which no browser sends', async () => {
    const { app } = appWith((req, res) => void res.send(`<a href="${req.originalUrl}">`), { redis })
    const seen = await raw(app, 'GET /page#evil HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n')
    expect(seen).toContain('/page#evil')
    expect((await request(app).get('/page').set('Host', '127.0.0.1')).text).toBe('<a href="/page">')
  })

  it('by response splitting: CRLF in the URL ends in no header', async () => {
    const { app } = appWith((req, res) => void res.set('X-Path', req.originalUrl).send('x'), { redis })
    const path = '/%0d%0aSet-Cookie:%20sid=evil'
    const victim = await poisoned(app, get(path), path)
    expect([victim.headers['x-cache'], victim.headers['set-cookie'], victim.headers['x-path']]).toEqual([
      ...['HIT', undefined, path],
    ])
  })

  it('by an oversized Vary, which is taken for one that nothing matches', async () => {
    const names = Array.from({ length: 500 }, (_, index) => `X-${index}`).join(', ')
    const { app, runs } = appWith((_req, res) => void res.set('Vary', names).send('x'), { redis })
    await poisoned(app, get('/'))
    expect(runs()).toBe(3)
  })

  it('by forged statements about caches', async () => {
    const { app } = appWith((_req, res) => void res.send('x'), { redis })
    const victim = await poisoned(app, get('/', { 'X-Cache': 'HIT', Age: '999', 'Cache-Status': 'evil; hit' }))
    expect(victim.headers['cache-status']).not.toContain('evil')
    expect(Number(victim.headers.age)).toBeLessThan(60)
  })

  it('by a denial of service with an error that only one request causes (CPDoS)', async () => {
    const { app } = appWith(
      (req, res) => void (req.get('x-oversized') ? res.status(400).send('no') : res.send('yes')),
      { redis },
    )
    expect((await poisoned(app, get('/', { 'X-Oversized': 'a'.repeat(4000) }))).text).toBe('yes')
  })

  it('by such a denial of service where the page had stated its freshness before it failed', async () => {
    const { app } = appWith(
      (req, res) => {
        res.set('Cache-Control', 'public, max-age=3600')
        if (req.get('x-oversized')) res.status(400).send('no')
        else res.send('yes')
      },
      { redis, ttl: undefined },
    )
    expect((await poisoned(app, get('/', { 'X-Oversized': 'a'.repeat(4000) }))).text).toBe('yes')
  })

  it.each([
    ['it itself', '/?id=1&utm_content=evil'],
    ['another behind a semicolon', '/?utm_content=x;id=evil&id=1'],
    ['an encoded name', '/?id=1&utm%5fcontent=evil'],
    ['an array', '/?id=1&utm_content[]=evil'],
    ['an object', '/?id=1&utm_content[id]=evil&utm_content[__proto__][id]=evil'],
  ])('by a parameter that is not part of the key, with %s', async (_name, attack) => {
    for (const version of [4, 5] as const) {
      const { app, runs } = appWith(
        (req, res) => void res.send(`${req.originalUrl} ${req.url} ${JSON.stringify(req.query)}`),
        { redis, version, ignoreQuery: ['utm_*'], namespace: `v${version}` },
      )
      const victim = await poisoned(app, get(attack), '/?id=1')
      expect(victim.text).toBe('/?id=1 /?id=1 {"id":"1"}')
      expect(runs()).toBe(1)
    }
  })

  it('by a partial answer', async () => {
    const { app } = appWith((_req, res) => void res.status(206).set('Content-Range', 'bytes 0-0/5').send('w'), {
      redis,
    })
    const victim = await poisoned(app, get('/', { Range: 'bytes=0-0' }))
    expect(victim.headers['x-cache']).toBe('MISS')
  })

  it('by invalidation of other URLs: an answer that is an error, or names another origin, removes nothing', async () => {
    const { app, runs } = appWith(
      (req, res) => {
        if (req.path === '/form') res.status(201).location('https://evil.example/page').end()
        else if (req.method === 'GET') res.send('x')
        else res.status(403).end()
      },
      { redis },
    )
    await request(app).get('/page')
    await request(app).delete('/page')
    await request(app).post('/form')
    expect((await request(app).get('/page')).headers['x-cache']).toBe('HIT')
    expect(runs()).toBe(3)
  })
})

describe('web cache deception', () => {
  it('stores no account page under a name that looks static', async () => {
    const { app } = appWith((req, res) => void res.send(`account of ${req.get('cookie') ?? 'nobody'}`), { redis })
    const attacker = await poisoned(app, get('/account/x.css', { Cookie: 'sid=ann' }), '/account/x.css')
    expect(attacker.text).toBe('account of nobody')
  })

  it('nor one that is shown to a bearer token', async () => {
    const { app } = appWith((req, res) => void res.send(`account of ${req.get('authorization') ?? 'nobody'}`), {
      redis,
    })
    const attacker = await poisoned(app, get('/account/x.css', { Authorization: 'Bearer ann' }), '/account/x.css')
    expect(attacker.text).toBe('account of nobody')
  })

  it('nor one that states a lifetime but is for a bearer token (RFC 9111 §3.5)', async () => {
    const { app } = appWith(
      (req, res) => void res.set('Cache-Control', 'max-age=60').send(`account of ${req.get('authorization')}`),
      { redis, ttl: undefined },
    )
    const attacker = await poisoned(app, get('/account', { Authorization: 'Bearer ann' }), '/account')
    expect(attacker.text).toBe('account of undefined')
  })
})

describe('session leakage', () => {
  const account: RequestHandler = async (req, res) => {
    await sleep(50)
    const { id } = req.session as unknown as { id: string }
    ;(req.session as unknown as { seen: boolean }).seen = true
    res.send(id)
  }
  const sessions = session({ secret: 'a', resave: false, saveUninitialized: true })

  it.each(['before', 'after'] as const)('through coalescing, with sessions mounted %s the cache', async (place) => {
    const { app } = appWith(account, { redis, [place]: [sessions] })
    const answers = await Promise.all(Array.from({ length: 20 }, () => request(app).get('/account')))
    expect(new Set(answers.map(({ text }) => text)).size).toBe(20)
    for (const { text, headers } of answers) expect(decodeURIComponent(String(headers['set-cookie']))).toContain(text)
  })

  it('through an echoed CORS origin', async () => {
    const cors: RequestHandler = (req, res) => {
      res
        .set('Access-Control-Allow-Origin', req.get('origin') ?? 'null')
        .set('Access-Control-Allow-Credentials', 'true')
      res.send('x')
    }
    const { app } = appWith(cors, { redis })
    await get('/', { Origin: 'https://evil.example' })(app)
    const victim = await request(app).get('/').set('Origin', 'https://good.example')
    expect(victim.headers['access-control-allow-origin']).toBe('https://good.example')
  })

  it('through If-None-Match: a 304 says nothing about what another was given', async () => {
    const { app } = appWith((req, res) => void res.send(req.get('cookie') ?? 'nobody'), { redis })
    const ann = await request(app).get('/').set('Cookie', 'sid=ann')
    const probe = await request(app)
      .get('/')
      .set('If-None-Match', ann.headers.etag as string)
    expect([probe.status, probe.text]).toEqual([200, 'nobody'])
  })

  it('through only-if-cached', async () => {
    const { app } = appWith((req, res) => void res.send(req.get('cookie') ?? 'nobody'), { redis })
    await request(app).get('/').set('Cookie', 'sid=ann')
    await request(app).get('/').set('Cache-Control', 'only-if-cached').expect(504)
  })
})
