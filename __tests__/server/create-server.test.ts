import { mkdtempSync } from 'node:fs'
import { IncomingMessage, createServer as plainServer, type Server, ServerResponse } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from '@jest/globals'
import express, { type Express, type Request, type Response } from 'express'
import express4 from 'express4'
import request from 'supertest'
import { createServer, listen } from '../../src/server/index.js'
import { expressConstructors } from '../../src/server/prototypes.js'
import { prototypesAreSlow } from '../../src/shared/settle.js'
import { createCertificates } from '../support/tls.js'

const open: Server[] = []
afterEach(() => Promise.all(open.splice(0).map((server) => new Promise((resolve) => server.close(resolve)))))

async function started(server: Server): Promise<Server> {
  open.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  return server
}

/** Whatever the Node that runs the tests, this is the server of Node 20. */
const fast = (app: Express): Server => plainServer(expressConstructors(app), app)

function demo(make: typeof express): Express {
  const app = make()
  app.set('query parser', 'extended')
  app.use(make.json())
  app.get('/json', (req: Request, res: Response) => void res.json({ query: req.query, host: req.hostname, ip: req.ip }))
  app.post('/echo', (req: Request, res: Response) => void res.status(201).json(req.body))
  app.get('/cookie', (_req: Request, res: Response) => void res.cookie('a', 'b').redirect('/json'))
  app.get('/stream', (_req: Request, res: Response) => {
    res.type('text')
    res.write('one ')
    res.end('two')
  })
  app.get('/throws', () => {
    throw new Error('a handler threw')
  })
  const sub = make()
  sub.get('/inner', (req: Request, res: Response) => void res.json({ base: req.baseUrl, original: req.originalUrl }))
  app.use('/sub', sub)
  app.set('env', 'test')
  return app
}

const paths: readonly (readonly [method: 'get' | 'post' | 'head', path: string])[] = [
  ['get', '/json?a[b]=1&c=2'],
  ['head', '/json'],
  ['post', '/echo'],
  ['get', '/cookie'],
  ['get', '/stream'],
  ['get', '/throws'],
  ['get', '/absent'],
  ['get', '/sub/inner?x=1'],
]

describe.each([
  ['5', express],
  ['4', express4],
])('requests and responses with the prototypes of Express %s from birth', (_version, make) => {
  it.each(paths)('answer %s %s as on a plain server', async (method, path) => {
    const answers = []
    for (const build of [fast, (app: Express) => plainServer(app)]) {
      const server = await started(build(demo(make)))
      const call = request(server)[method](path)
      const { status, headers, text, body } = await (method === 'post' ? call.send({ a: [1, 'ü'] }) : call)
      answers.push({ status, headers: { ...headers, date: '' }, text, body })
    }
    expect(answers[0]).toEqual(answers[1])
  })

  it('cannot be told from those of a plain server by code that looks', async () => {
    const look = (req: Request, res: Response) => ({
      request: Object.getPrototypeOf(req) === (req.app as Express).request,
      response: Object.getPrototypeOf(res) === (req.app as Express).response,
      instances: [req instanceof IncomingMessage, res instanceof ServerResponse],
      names: [Object.keys(req).sort(), Object.keys(res).sort()],
      res: req.res === res,
      req: res.req === req,
    })
    const seen = []
    for (const build of [fast, (app: Express) => plainServer(app)]) {
      const app = make()
      app.get('/', (req: Request, res: Response) => void res.json(look(req, res)))
      seen.push((await request(await started(build(app))).get('/')).body)
    }
    expect(seen[0]).toEqual(seen[1])
    expect(seen[0]).toMatchObject({ request: true, response: true, instances: [true, true] })
  })
})

describe('createServer', () => {
  it('serves https where it is given a certificate', async () => {
    const { ca, cert, key } = await createCertificates(mkdtempSync(join(tmpdir(), 'holdfast-tls-')))
    const app = express().get('/', (req, res) => void res.send(`secure ${req.secure}`))
    const server = await started(createServer(app, { key, cert }))
    const body = await new Promise<string>((resolve, reject) => {
      const { port } = server.address() as AddressInfo
      httpsRequest({ port, host: '127.0.0.1', servername: 'localhost', ca }, (res) => {
        res.on('data', (chunk) => resolve(String(chunk)))
      })
        .on('error', reject)
        .end()
    })
    expect(body).toBe('secure true')
  })

  it('listens as app.listen does', async () => {
    const app = express().get('/', (_req, res) => void res.send('ok'))
    await new Promise<void>((resolve) => {
      open.push(listen(app, 0, () => resolve()))
    })
    await request(open[0] as Server)
      .get('/')
      .expect(200, 'ok')
  })

  it('keeps the options and the constructors it is given', async () => {
    class Own extends IncomingMessage {}
    const app = express().get('/', (_req, res) => void res.send('ok'))
    const server = createServer(app, { keepAliveTimeout: 1234, IncomingMessage: Own })
    expect(server.keepAliveTimeout).toBe(1234)
    await request(await started(server))
      .get('/')
      .expect(200)
  })

  it('does nothing on the versions of Node where nothing is to be gained', () => {
    expect(['20.19.0', '22.12.0', '24.0.0', '26.1.0'].map(prototypesAreSlow)).toEqual([true, true, false, false])
  })

  it('refuses what is no Express application', () => {
    expect(() => createServer(((_req: unknown, _res: unknown) => {}) as never)).toThrow(
      'createServer: "app" must be an Express application, got a function',
    )
  })
})
