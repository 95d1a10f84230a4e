import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Express } from 'express'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { fairNow } from '../support/fair-clock.js'
import { freePort } from '../support/free-port.js'
import { startProxy } from '../support/proxy.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

/** One answer of the app under test. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: string
  readonly ms: number
}

export type Get = (path?: string, headers?: Record<string, string>) => Promise<Answer>

/** A feature mounted in an app, and how one sees from outside whether it uses Redis. */
export interface Subject {
  /** An app with the feature and a handler on `GET /`. */
  readonly mount: (redis: RedisManager) => Express
  /** Runs once while Redis is up, for example a log-in; its headers are sent with every request that follows. */
  readonly prepare?: (get: Get) => Promise<Record<string, string>>
  /** Throws unless the answers show that Redis is in use. May be called again until it passes. */
  readonly whenUp: (get: Get) => Promise<void>
  /** Throws unless the answer is what the feature promises while Redis is away. */
  readonly whenAway: (answer: Answer) => void
  /** What the feature must have kept, checked at the very end, after Redis returned. */
  readonly afterwards?: (redis: RedisManager) => Promise<void>
}

const DEADLINE_MS = 75
const SLACK_MS = 50
/** Within a second, and what a busy machine adds to the server's side of it. */
const RETURN_MS = 1000 + 2000

/**
 * The promise of the package, for one feature: whatever Redis does, the app answers from its handler, in time, and
 * uses Redis again within a second of its return.
 */
export function describeDegradation(name: string, subject: Subject): void {
  describe(`${name} when Redis is`, () => {
    const rejections: unknown[] = []
    const note = (reason: unknown): void => void rejections.push(reason)
    beforeAll(() => void process.on('unhandledRejection', note))
    afterAll(() => {
      process.off('unhandledRejection', note)
      expect(rejections).toEqual([])
    })

    it('up: it works', () => withApp(subject, async ({ get }) => subject.whenUp(get)))

    it('absent at boot: requests are served, and Redis is used once it appears', async () => {
      const port = await freePort()
      const world = await serve(subject, `redis://127.0.0.1:${port}`)
      let server: RedisServer | undefined
      try {
        for (let i = 0; i < 5; i++) away(subject, await world.get('/'))
        server = await startRedis({ port })
        await eventually(() => subject.whenUp(world.get), { every: 50 })
      } finally {
        await world.close()
        await server?.stop()
      }
    })

    it('killed mid-request: every request in flight and every later one is served', () =>
      withApp(subject, async ({ get, redis, server }) => {
        const inFlight = Array.from({ length: 50 }, () => get('/'))
        await server.kill()
        for (const answer of await Promise.all(inFlight)) expect(answer.status).toBe(200)
        await eventually(() => !redis.available)
        for (let i = 0; i < 10; i++) away(subject, await get('/'))
        await server.restart()
      }))

    it('hung: at most 5 requests take over 100 ms, none waits past its deadline, and it recovers in a second', () =>
      withApp(subject, async ({ get, redis, server }) => {
        await subject.whenUp(get)
        server.pause()
        const answers: Answer[] = []
        for (let i = 0; i < 40; i++) {
          answers.push(await get('/'))
          await sleep(25)
        }
        for (const answer of answers) expect(answer.status).toBe(200)
        away(subject, answers.at(-1) as Answer)
        expect(answers.filter(({ ms }) => ms > 100).length).toBeLessThanOrEqual(5)
        expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThanOrEqual(DEADLINE_MS + SLACK_MS)
        server.resume()
        await eventually(() => redis.available, { within: RETURN_MS })
        await eventually(() => subject.whenUp(get), { every: 50 })
      }))

    it('slow (+200 ms): requests do not wait for it, and it recovers in a second', async () => {
      const server = await startRedis()
      const proxy = await startProxy(server.port)
      const world = await serve(subject, proxy.url)
      try {
        await world.redis.ready()
        await world.login()
        await subject.whenUp(world.get)
        proxy.latency(200)
        const answers: Answer[] = []
        for (let i = 0; i < 10; i++) answers.push(await world.get('/'))
        for (const answer of answers) expect(answer.status).toBe(200)
        await eventually(async () => (await world.get('/')).status === 200 && !world.redis.available)
        const answer = await world.get('/')
        away(subject, answer)
        expect(answer.ms).toBeLessThan(100)
        proxy.pass()
        await eventually(() => world.redis.available, { within: RETURN_MS })
        await eventually(() => subject.whenUp(world.get), { every: 50 })
      } finally {
        await world.close()
        await proxy.stop()
        await server.stop()
      }
    })

    it('restarted empty: it is used again within a second, and requests are served all the while', () =>
      withApp(subject, async ({ get, redis, server }) => {
        await subject.whenUp(get)
        await server.kill()
        await eventually(() => !redis.available)
        away(subject, await get('/'))
        await server.restart()
        await eventually(() => redis.available, { within: RETURN_MS })
        const answer = await get('/')
        expect(answer.status).toBe(200)
        await subject.afterwards?.(redis)
      }))
  })
}

interface World {
  readonly redis: RedisManager
  readonly get: Get
  login(): Promise<void>
  close(): Promise<void>
}

async function withApp(
  subject: Subject,
  run: (world: World & { server: RedisServer }) => Promise<void>,
): Promise<void> {
  const server = await startRedis()
  const world = await serve(subject, server.url)
  try {
    expect(await world.redis.ready()).toBe(true)
    await world.login()
    await run({ ...world, server })
  } finally {
    await world.close()
    await server.stop()
  }
}

async function serve(subject: Subject, url: string): Promise<World> {
  const redis = createRedisManager({ url, logger: false, commandTimeout: DEADLINE_MS })
  const app = subject.mount(redis)
  const http = await new Promise<Server>((resolve) => {
    const listening = app.listen(0, '127.0.0.1', () => resolve(listening))
  })
  const base = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  let always: Record<string, string> = {}
  const get: Get = async (path = '/', headers = {}) => {
    const started = fairNow()
    const response = await fetch(base + path, { headers: { ...always, ...headers } })
    const body = await response.text()
    return { status: response.status, headers: response.headers, body, ms: fairNow() - started }
  }
  return {
    redis,
    get,
    async login() {
      always = (await subject.prepare?.(get)) ?? {}
    },
    async close() {
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
      const started = fairNow()
      await redis.close()
      expect(fairNow() - started).toBeLessThan(1000)
    },
  }
}

function away(subject: Subject, answer: Answer): void {
  expect(answer.status).toBe(200)
  subject.whenAway(answer)
}
