import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, it } from '@jest/globals'
import express from 'express'
import { createRedisManager } from '../../src/redis/index.js'
import { securityLog } from '../../src/security/index.js'
import { eventually } from '../support/eventually.js'
import { startProxy } from '../support/proxy.js'
import { startRedis } from '../support/redis-server.js'

const cleanUp: (() => unknown)[] = []
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

async function start() {
  const server = await startRedis()
  const proxy = await startProxy(server.port)
  const redis = createRedisManager({ url: proxy.url, logger: false })
  const security = securityLog({
    redis,
    sink: () => {},
    maxEvents: 1_000_000,
    enforce: ['bruteForcePair', 'honeypot'],
    secret: 'only for these tests',
  })
  const app = express()
    .use(security)
    .get('/', (_req, res) => void res.send('served'))
  const http = await new Promise<Server>((resolve) => {
    const listening = app.listen(0, '127.0.0.1', () => resolve(listening))
  })
  cleanUp.push(
    () => server.stop(),
    () => proxy.stop(),
    () => redis.close(),
    () => security.close(),
    () => new Promise((resolve) => http.close(resolve)),
    () => http.closeAllConnections(),
  )
  await redis.ready()
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/`
  return { server, proxy, redis, security, url }
}

describe('while 10,000 events a second arrive', () => {
  it.each(['up', 'hung', 'slow'] as const)(
    'and Redis is %s, requests are served as if nothing was',
    async (state) => {
      const { server, proxy, redis, security, url } = await start()
      let recorded = 0
      const began = performance.now()
      const feed = setInterval(() => {
        const due = Math.min((performance.now() - began) * 10, recorded + 150)
        while (recorded < due) {
          security.record(recorded % 50 === 0 ? 'authn_login_fail' : 'sensitive_read', {
            ...{ userId: `u${recorded % 500}`, account: `u${recorded % 500}`, ip: `192.0.2.${recorded % 250}` },
            n: recorded++,
          })
        }
      }, 5)
      cleanUp.push(() => clearInterval(feed))
      await sleep(200)
      const baseline = await requests(url)
      if (state === 'hung') server.pause()
      if (state === 'slow') proxy.latency(200)
      const delay = monitorEventLoopDelay({ resolution: 5 })
      delay.enable()
      const times = await requests(url)
      delay.disable()
      clearInterval(feed)
      const lag = delay.max / 1e6
      expect(recorded).toBeGreaterThan(3000)
      expect(Math.max(...times)).toBeLessThan(Math.max(...baseline) + 100 + lag)
      expect(security.stats().buffered).toBeLessThanOrEqual(10_000)
      server.resume()
      proxy.pass()
      await eventually(() => redis.available, { within: 5000 })
      await eventually(() => security.stats().buffered === 0, { within: 15_000 })
    },
    60_000,
  )
})

async function requests(url: string): Promise<number[]> {
  const times: number[] = []
  for (let n = 0; n < 40; n++) {
    const started = performance.now()
    const response = await fetch(url)
    expect([response.status, await response.text()]).toEqual([200, 'served'])
    times.push(performance.now() - started)
    await sleep(20)
  }
  return times
}

describe('a long time without Redis', () => {
  it('costs no more memory than a short one', async () => {
    const redis = createRedisManager({ env: {}, logger: false })
    const security = securityLog({ redis, sink: () => {} })
    cleanUp.push(
      () => redis.close(),
      () => security.close(),
    )
    const minute = async (): Promise<void> => {
      for (let n = 0; n < 1000; n++) {
        const ip = `198.${n % 200}.${(n >> 3) % 250}.${n % 250}`
        security.record(n % 10 === 0 ? 'authn_login_fail' : 'sensitive_read', {
          userId: `user-${n}`,
          account: `a${n}`,
          ip,
          n,
        })
        if (n % 200 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
    }
    // Six times what may wait; bench/security does the hour.
    const used: number[] = []
    for (let n = 0; n < 60; n++) {
      await minute()
      if (n === 9 || n === 59) used.push(await heap())
    }
    const [early = 0, late = 0] = used
    expect(security.stats().buffered).toBeLessThanOrEqual(10_000)
    expect(security.stats().bufferedBytes).toBeLessThanOrEqual(8 * 1024 * 1024)
    expect(late - early).toBeLessThan(40 * 1024 * 1024)
  }, 120_000)
})

/** What is left after a collection: without one the figure is what happens to lie around. */
async function heap(): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let n = 0; n < 3; n++) {
    collect()
    await sleep(20)
  }
  return process.memoryUsage().heapUsed
}
