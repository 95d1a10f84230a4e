import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import express, { type Express } from 'express'
import request from 'supertest'
import { type HealthOptions, type HealthReport, health } from '../../src/ops/index.js'
import { createRedisManager, type FeatureStatus, type RedisManager } from '../../src/redis/index.js'
import { startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'
import { startProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'

let server: RedisServer
let redis: RedisManager
const offs: (() => void)[] = []

useRedis(
  (own) => {
    server = own.server
    redis = own.redis
  },
  { manager: { commandTimeout: 1000, keyPrefix: 'shop' } },
)
beforeEach(() => server.client().flushall())
afterEach(() => {
  for (const off of offs.splice(0)) off()
})

const operator = { details: () => true }
const appWith = (options: Partial<HealthOptions> = {}): Express =>
  express().use('/health', health({ redis, ...options }))

async function report(options: Partial<HealthOptions> = {}): Promise<HealthReport> {
  return (await request(appWith(options)).get('/health')).body
}

/** A report in which Redis has answered everything in time, which on a loaded machine is not every one. */
function fullReport(options: Partial<HealthOptions> = {}): Promise<HealthReport> {
  return eventually(
    async () => {
      const found = await report(options)
      expect(Object.keys(found.checks)).toEqual(expect.arrayContaining(['redis:responseTime', 'redis:role']))
      return found
    },
    { every: 100 },
  )
}

function register(feature: string, status: () => FeatureStatus, name?: string): void {
  offs.push(redis.register({ feature, name, status }))
}

describe('the health report', () => {
  it('shows the server: role, keys, memory, hit ratio', async () => {
    await server.client().set('shop:cache:a', '1')
    const { checks } = await fullReport()
    expect(checks['redis:role']?.[0]?.observedValue).toBe('master')
    expect(checks['redis:keys']?.[0]?.observedValue).toBe(1)
    expect(checks['redis:memory']?.[0]).toMatchObject({ observedValue: expect.any(Number), observedUnit: 'bytes' })
  })

  it('tells the version of Redis to operators alone', async () => {
    expect((await fullReport(operator)).checks['redis:version']?.[0]?.observedValue).toMatch(/^\d+\.\d+\.\d+/)
    expect((await fullReport()).checks['redis:version']).toBeUndefined()
  })

  it('shows keys and memory of each feature', async () => {
    const admin = server.client()
    for (let i = 0; i < 5; i++) await admin.set(`shop:cache:${i}`, 'x'.repeat(1000))
    await admin.set('shop:session:a', '1')
    const app = appWith()
    // Sampled in the background: the first report does not wait for it.
    const checks = await eventually(
      async () => {
        const found = (await request(app).get('/health')).body.checks
        expect(found['redis:keys'].length).toBeGreaterThan(1)
        return found
      },
      { every: 200 },
    )
    const shares = (name: string): Record<string, number> =>
      Object.fromEntries(
        checks[name].map((entry: { componentId?: string; observedValue: number }) => [
          entry.componentId ?? 'all',
          entry.observedValue,
        ]),
      )
    expect(shares('redis:keys')).toEqual({ all: 6, cache: 5, session: 1 })
    expect(shares('redis:memory').cache).toBeGreaterThan(5000)
  })

  it('shows what every feature says of itself, each instance by its name', async () => {
    register('rate-limit', () => ({ status: 'pass', values: { mode: 'redis', deniedLocally: 3 } }), 'api')
    register('rate-limit', () => ({ status: 'warn', values: { mode: 'memory' }, problem: 'redis-7.internal' }), 'login')
    register('security', () => ({ status: 'pass', values: { bufferedBytes: 10, oldestMs: 5, lost: undefined } }))
    const { status, checks } = await report()
    expect(status).toBe('warn')
    expect(checks['rate-limit:mode']).toMatchObject([
      { componentId: 'api', observedValue: 'redis', status: 'pass' },
      { componentId: 'login', observedValue: 'memory', status: 'warn' },
    ])
    expect(checks['security:bufferedBytes']?.[0]?.observedUnit).toBe('bytes')
    expect(checks['security:oldestMs']?.[0]?.observedUnit).toBe('ms')
    expect(checks['security:lost']).toBeUndefined()
    expect(JSON.stringify(checks)).not.toContain('redis-7.internal')
    expect(JSON.stringify(await report(operator))).toContain('redis-7.internal')
  })

  it('warns of a source that throws, instead of throwing', async () => {
    register('cache', () => {
      throw new Error('boom at 10.0.0.7')
    })
    const { status, checks } = await report()
    expect(status).toBe('warn')
    expect(checks['cache:status']?.[0]?.status).toBe('warn')
    expect(JSON.stringify(checks)).not.toContain('10.0.0.7')
  })

  it('takes a feature that does not serve for a failure only where Redis is critical', async () => {
    register('queue', () => ({ status: 'fail', values: {} }))
    await request(appWith()).get('/health/ready').expect(200)
    await request(appWith({ critical: true }))
      .get('/health/ready')
      .expect(503)
  })

  it('is short on request, in both ways, and long again', async () => {
    await server.client().set('a', '1')
    const simple = {
      status: 'pass',
      redis: { status: 'up', latency: expect.any(Number) },
      cache: { totalKeys: 1, memoryUsage: expect.any(Number) },
    }
    const short = (options: Partial<HealthOptions>, path: string) =>
      eventually(
        async () => {
          const response = await request(appWith(options)).get(path).expect(200)
          expect(response.body).toEqual(simple)
          return response
        },
        { every: 100 },
      )
    const byOption = await short({ format: 'simple' }, '/health')
    expect(byOption.headers['content-type']).toBe('application/json; charset=utf-8')
    await short({}, '/health?format=simple')
    expect((await request(appWith({ format: 'simple' })).get('/health?format=full')).body.checks).toBeDefined()
    expect((await request(appWith()).get('/health?format[]=simple&format=__proto__')).body.checks).toBeDefined()
  })

  it('says null in the short form for what is not known', async () => {
    const absent = createRedisManager({ env: {}, logger: false })
    expect(
      (
        await request(appWith({ redis: absent, format: 'simple' }))
          .get('/health')
          .expect(200)
      ).body,
    ).toEqual({
      status: 'warn',
      redis: { status: 'down', latency: null },
      cache: { totalKeys: null, memoryUsage: null },
    })
    await request(appWith({ redis: absent, format: 'simple', critical: true }))
      .get('/health')
      .expect(503)
    await absent.close()
  })

  it('leaves out what a restricted user may not ask, and warns of nothing', async () => {
    await server.client().call('ACL', 'SETUSER', 'web', 'on', '>pw', '~shop:*', '+ping', '+get', '+set', '+client|id')
    // ioredis says that it could not ask for INFO.
    const warn = jest.spyOn(console, 'warn').mockImplementation(() => {})
    const web = createRedisManager({
      url: server.url.replace('//', '//web:pw@'),
      logger: false,
      commandTimeout: 2000,
    })
    expect(await web.ready('10s')).toBe(true)
    warn.mockRestore()
    const { status, checks } = await report({ redis: web, ...operator })
    expect(status).toBe('pass')
    expect(checks['redis:state']?.[0]?.observedValue).toBe('up')
    expect(checks['redis:keys']).toBeUndefined()
    await web.close()
  })

  it('asks a restricted user’s Redis once a minute for what it refused, not with every report', async () => {
    const admin = server.client()
    await admin.call('ACL', 'SETUSER', 'web', 'on', '>pw', '~shop:*', '+ping', '+client|id')
    const warn = jest.spyOn(console, 'warn').mockImplementation(() => {})
    const web = createRedisManager({
      url: server.url.replace('//', '//web:pw@'),
      logger: false,
      commandTimeout: 2000,
    })
    await web.ready('10s')
    warn.mockRestore()
    const calls: string[] = []
    web.on('redis.call', ({ operation, outcome }) => void (outcome === 'error' && calls.push(operation)))
    const app = appWith({ redis: web })
    await request(app).get('/health')
    await eventually(() => expect(calls).toEqual(expect.arrayContaining(['stats.info', 'scan'])))
    calls.length = 0
    await new Promise((resolve) => setTimeout(resolve, 1100))
    expect((await request(app).get('/health')).body.status).toBe('pass')
    expect(calls).toEqual([])
    await web.close()
  })

  it('is bounded by 100 ms where Redis hangs and commands may wait for long', async () => {
    const own = await startRedis()
    const took: number[] = []
    for (let i = 0; i < 3; i++) {
      const patient = createRedisManager({ url: own.url, logger: false, commandTimeout: '5s' })
      await patient.ready('10s')
      const listening = appWith({ redis: patient }).listen(0)
      const { port } = listening.address() as { port: number }
      own.pause()
      const started = performance.now()
      const { status } = (await (await fetch(`http://127.0.0.1:${port}/health`)).json()) as HealthReport
      took.push(performance.now() - started)
      expect(status).toBe('warn')
      listening.close()
      listening.closeAllConnections()
      own.resume()
      await patient.close()
    }
    // On a loaded machine one may be late. Without the bound each would wait for the second of the statistics.
    expect(Math.min(...took)).toBeLessThan(900)
    await own.stop()
  })

  it('shows a change of state at once, although reports are kept for a second', async () => {
    const proxy = await startProxy(server.port)
    const watched = createRedisManager({ url: proxy.url, logger: false })
    await watched.ready()
    const app = appWith({ redis: watched })
    await eventually(async () => expect((await request(app).get('/health')).body.status).toBe('pass'), {
      within: 10_000,
      every: 200,
    })
    await proxy.stop()
    await eventually(() => !watched.available)
    expect((await request(app).get('/health')).body.status).toBe('warn')
    await watched.close()
  })

  it('names the masters of a Cluster', async () => {
    const cluster = await startCluster()
    const clustered = createRedisManager({ cluster: { nodes: cluster.nodes }, logger: false })
    await clustered.ready('5s')
    // On a loaded machine three masters may take longer to answer than a report waits.
    await eventually(
      async () => {
        const { checks } = await report({ redis: clustered })
        expect(checks['redis:role']?.[0]?.observedValue).toBe('3 masters')
      },
      { within: 10_000 },
    )
    await clustered.close()
    await cluster.stop()
  }, 60_000)
})
