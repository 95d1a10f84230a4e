import { EventEmitter, once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { describe, expect, it } from '@jest/globals'
import express from 'express'
import request from 'supertest'
import { createServer as createFastServer } from '../../src/server/index.js'
import { prototypesAreSlow, settle, settledMark } from '../../src/shared/settle.js'

type Exchange = readonly [req: IncomingMessage, res: ServerResponse]

/** What a middleware of an Express app is given for some requests in turn. */
async function exchanges(count: number, use: (req: object, res: object) => void): Promise<Exchange[]> {
  const seen: Exchange[] = []
  const app = express().use((req, res) => {
    use(req, res)
    for (const name of ['user', 'tenant', 'trace']) (req as unknown as Record<string, unknown>)[name] = name
    seen.push([req, res])
    res.end('ok')
  })
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => get({ port }, (response) => response.resume().on('end', resolve)))
  }
  server.close()
  return seen
}

setFlagsFromString('--allow-natives-syntax')
const shareClass = new Function('a', 'b', 'return %HaveSameMap(a, b)') as (a: object, b: object) => boolean

const onSlow = prototypesAreSlow() ? describe : describe.skip

onSlow('where changing prototypes is slow', () => {
  it('requests have hidden classes of their own, and once settled one together', async () => {
    const sameOf = (seen: readonly Exchange[]): number =>
      seen.slice(1).filter(([req], index) => shareClass(req, (seen[index] as Exchange)[0])).length
    // The first ones, before Node and Express have done everything once, may differ.
    expect(sameOf((await exchanges(40, () => {})).slice(20))).toBe(0)
    expect(sameOf((await exchanges(40, settle)).slice(20))).toBe(19)
  })

  it.each([
    ['frozen', Object.freeze],
    ['sealed', Object.seal],
    ['closed to new properties', Object.preventExtensions],
  ])('objects that are %s stay as they are', (_what, close) => {
    const open = (): object =>
      Object.assign(
        new EventEmitter().on('end', () => {}),
        { method: 'GET' },
      )
    for (const [req, res] of [
      [close(open()), open()],
      [open(), close(open())],
    ] as readonly [object, object][]) {
      expect(() => settle(req, res)).not.toThrow()
      expect([req, res].map((each) => (each as EventEmitter).listenerCount('end'))).toEqual([1, 1])
    }
  })

  it('a request and its response have what they had, and their listeners', () => {
    const app = express()
    const names = (object: object) => Reflect.ownKeys(object).map(String).sort()
    let heard = 0
    app.use((req, res, next) => {
      const before = [names(req), names(res)]
      const listeners = [req.listenerCount('end'), res.listenerCount('finish')]
      res.on('finish', () => heard++)
      settle(req, res)
      settle(req, res)
      expect([names(req).filter((name) => name !== String(settledMark)), names(res)]).toEqual(before)
      expect(Object.keys(req)).not.toContain(String(settledMark))
      expect([req.listenerCount('end'), res.listenerCount('finish')]).toEqual([listeners[0], 1 + Number(listeners[1])])
      next()
    })
    app.use((_req, res) => void res.json({ ok: true }))
    return request(app)
      .get('/')
      .expect(200, { ok: true })
      .then(() => expect(heard).toBe(1))
  })

  it('what was born with the prototypes of Express is left as it is', async () => {
    const app = express()
    let own: boolean | undefined
    app.use((req, res) => {
      settle(req, res)
      own = Object.hasOwn(req, settledMark)
      res.end()
    })
    await request(createFastServer(app)).get('/')
    expect(own).toBe(false)
  })
})

it('leaves alone what is no request', () => {
  const [req, res] = [{ headers: {} }, {}]
  settle(req, res)
  expect([Object.keys(req), Object.keys(res)]).toEqual([['headers'], []])
})
