import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { type RedisCluster, startCluster } from '../support/cluster.js'
import { freePort } from '../support/free-port.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

const run = promisify(execFile)
/** Compiled once, so that a process starts fast; below node_modules, so that it finds its packages. */
const bundle = join(__dirname, '../../node_modules/.cache/holdfast-close/redis.mjs')
let server: RedisServer

beforeAll(async () => {
  await build({
    entryPoints: [join(__dirname, '../../src/redis/index.ts')],
    outfile: bundle,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
  })
  server = await startRedis()
})
afterEach(() => server.resume())
afterAll(() => server.stop())

interface Report {
  /** How long close() took. */
  readonly closedMs: number
  /** From then until the process was gone. */
  readonly exitMs: number
  readonly rejections: string[]
  readonly result: unknown
}

/**
 * Runs the script in a process of its own, in which `redis` is a manager and `closing()` closes and measures. Fails
 * unless the process ends by itself.
 */
async function inProcess(options: object, script: string, meanwhile = (_said: string): void => {}): Promise<Report> {
  const program = `
    import { createRedisManager } from ${JSON.stringify(pathToFileURL(bundle).href)}
    const rejections = []
    process.on('unhandledRejection', (reason) => rejections.push(String(reason)))
    const redis = createRedisManager({ env: {}, logger: false, ...${JSON.stringify(options)} })
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
    const say = (word) => new Promise((resolve) => process.stdout.write(word + '\\n', resolve))
    let closedMs, closedAt, result
    const closing = async () => {
      const started = performance.now()
      await redis.close()
      closedMs = performance.now() - started
      closedAt = performance.now()
    }
    process.on('exit', () => {
      process.stdout.write(JSON.stringify({ closedMs, exitMs: performance.now() - closedAt, rejections, result }) + '\\n')
    })
    ${script}
  `
  const child = run(process.execPath, ['--input-type=module', '-e', program], { timeout: 20_000 })
  child.child.stdout?.on('data', (chunk: string) => {
    for (const word of chunk.split('\n')) meanwhile(word)
  })
  const { stdout, stderr } = await child
  expect(stderr).toBe('')
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Report
}

function expectClean({ closedMs, exitMs, rejections }: Report): void {
  expect(closedMs).toBeLessThan(1000)
  expect(exitMs).toBeLessThan(500)
  expect(rejections).toEqual([])
}

test.concurrent.each<[string, () => Promise<object>, string]>([
  ['ready', async () => ({ port: server.port }), 'await redis.ready(); await closing()'],
  ['connecting', async () => ({ port: server.port }), 'await closing()'],
  ['not configured', async () => ({}), 'await closing()'],
  ['reconnecting to nothing', async () => ({ port: await freePort() }), 'await sleep(600); await closing()'],
  [
    'connecting to an address that never answers',
    async () => ({ host: '192.0.2.1', connectTimeout: '10s' }),
    'await sleep(200); await closing()',
  ],
  [
    'connecting over TLS to what speaks none',
    async () => ({ port: server.port, tls: true, connectTimeout: '10s' }),
    'await sleep(200); await closing()',
  ],
  [
    'asking sentinels that are away',
    async () => ({ sentinel: { name: 'm', nodes: [{ host: '127.0.0.1', port: await freePort() }] } }),
    'await sleep(300); await closing()',
  ],
  [
    'looking for a Cluster that is away',
    async () => ({ cluster: { nodes: [{ host: '127.0.0.1', port: await freePort() }] } }),
    'await sleep(300); await closing()',
  ],
  [
    'closed already',
    async () => ({ port: server.port }),
    'await redis.ready(); await Promise.all([closing(), redis.close()]); await redis.close(); await closing()',
  ],
  [
    'in use by the pool, subscribed and probing',
    async () => ({ port: server.port }),
    `await redis.ready()
     const popped = redis.pool.use('pop', (client) => client.brpop('close:jobs', 0)).catch((error) => error.reason)
     const idle = await redis.pool.use('get', (client) => client.get('a'))
     await redis.subscriber.subscribe('c', () => {}).ready()
     redis.subscriber.subscribe('late', () => {})
     await sleep(100)
     await closing()
     result = await popped`,
  ],
])('in the state "%s" close() is quick and the process ends by itself', async (_state, options, script) => {
  expectClean(await inProcess(await options(), script))
})

test('what is in flight is answered before the connection closes', async () => {
  const report = await inProcess(
    { port: server.port },
    `await redis.ready()
     const answers = Promise.all(Array.from({ length: 100 }, (_, i) => redis.attempt('set', (client) => client.set('drain:' + i, '1'), () => 'lost')))
     await closing()
     result = [...new Set(await answers)]`,
  )
  expectClean(report)
  expect(report.result).toEqual(['OK'])
})

test.each([
  ['with commands in flight', `redis.attempt('get', (client) => client.get('a'), () => null)`],
  ['degraded', `await redis.attempt('get', (client) => client.get('a'), () => null); await sleep(400)`],
  ['reconnecting', `await redis.attempt('get', (client) => client.get('a'), () => null); await sleep(1500)`],
  [
    'with work blocked and subscribed',
    `redis.pool.use('pop', (client) => client.brpop('jobs', 0)).catch(() => {}); redis.subscriber.subscribe('d', () => {})`,
  ],
])('on a hung server, %s, close() is quick and the process ends by itself', async (_state, script) => {
  const report = await inProcess(
    { port: server.port },
    `await redis.ready()
     await redis.pool.use('get', (client) => client.get('a'))
     await redis.subscriber.subscribe('c', () => {}).ready()
     await say('pause')
     await sleep(150)
     ${script}
     await closing()`,
    (word) => {
      if (word === 'pause') server.pause()
    },
  )
  expectClean(report)
})

test('close() from a listener of its first event is fine', async () => {
  const report = await inProcess(
    { port: server.port },
    `redis.on('up', () => redis.close())
     await redis.ready()
     await closing()`,
  )
  expectClean(report)
})

describe('on a Cluster', () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterEach(() => {
    for (const each of cluster.servers) each.resume()
  })
  afterAll(() => cluster.stop())

  const script = (word: string, pause: number): string => `
    await redis.ready('5s')
    await redis.pool.use('get', (client) => client.get('a'), { waitMs: 3000 })
    await redis.subscriber.subscribe('c', () => {}).ready()
    await say('${word}')
    await sleep(${pause})
    redis.attempt('get', (client) => client.get('a'), () => null)
    await closing()`

  test.each([
    ['up', 'nothing', 0],
    ['hung', 'pause', 150],
    ['hung and degraded', 'pause', 1700],
  ])('%s: close() is quick and the process ends by itself', async (_state, word, pause) => {
    const report = await inProcess({ cluster: { nodes: cluster.nodes } }, script(word, pause), (said) => {
      if (said === 'pause') for (const each of cluster.servers) each.pause()
    })
    expectClean(report)
  })
})
