import { afterEach, describe, expect, it } from '@jest/globals'
import express from 'express'
import { createPubSub, defineChannel } from '../../src/pubsub/index.js'
import { createRedisManager } from '../../src/redis/index.js'
import { describeDegradation, type Get } from '../contract/degradation.js'
import { eventually } from '../support/eventually.js'
import { fairNow } from '../support/fair-clock.js'
import { freePort } from '../support/free-port.js'
import { startProxy } from '../support/proxy.js'
import { startRedis } from '../support/redis-server.js'
import { closeAll, join } from './support.js'

const news = defineChannel<string>('news')
const cleanUp: (() => unknown)[] = []
afterEach(async () => {
  await closeAll()
  for (const step of cleanUp.splice(0)) await step()
})

async function aServer() {
  const server = await startRedis()
  cleanUp.push(() => server.stop())
  return server
}

describe('pub/sub when Redis is', () => {
  it('restarted: subscribes again, announces one gap, and delivers what comes then', async () => {
    const server = await aServer()
    const { bus, redis } = await join(server.url)
    const got: string[] = []
    const events: unknown[] = []
    redis.on('pubsub.gap', (event) => void events.push(event))
    await bus.subscribe(news, (text) => void got.push(text), { onGap: () => got.push('gap') }).ready()
    await bus.publish(news, 'before')
    await eventually(() => got.length === 1)
    await server.restart()
    await eventually(() => got.length === 2, { within: 10_000 })
    await eventually(async () => (await bus.publish(news, 'after')).outcome === 'published')
    await eventually(() => got.includes('after'))
    expect(got).toEqual(['before', 'gap', 'after'])
    expect(events).toEqual([{ channel: 'news' }])
  })

  it('absent at boot: publishing drops in time, and subscriptions work once it appears', async () => {
    const port = await freePort()
    const redis = createRedisManager({ port, logger: false })
    cleanUp.push(() => redis.close())
    await eventually(() => redis.state === 'down')
    const bus = createPubSub({ redis })
    const got: string[] = []
    const subscription = bus.subscribe(news, (text) => void got.push(text))
    expect(await subscription.ready(50)).toBe(false)
    expect(await bus.publish(news, 'lost')).toEqual({ outcome: 'dropped', reason: 'down' })
    const server = await startRedis({ port })
    cleanUp.push(() => server.stop())
    expect(await subscription.ready('5s')).toBe(true)
    await eventually(async () => (await bus.publish(news, 'found')).outcome === 'published')
    await eventually(() => got.length === 1)
    expect(got).toEqual(['found'])
  })

  it('down: with localWhenDown this process still hears itself, branch subscribers too, and nobody hears twice', async () => {
    const server = await aServer()
    const { bus, redis } = await join(server.url, { localWhenDown: true })
    const got: string[] = []
    bus.subscribe(news.below, (text, { local, parts }) => void got.push(`${parts.join('/')} ${text} ${local}`))
    await bus.subscribe(news, (text, { local }) => void got.push(`${text} ${local}`)).ready()
    await server.kill()
    await eventually(() => !redis.available)
    expect(await bus.publish(news, 'one')).toEqual({ outcome: 'local', reason: 'down' })
    expect(await bus.publish(news.at('eu'), 'two')).toMatchObject({ outcome: 'local' })
    expect(await bus.publish(defineChannel<string>('other'), 'x')).toMatchObject({ outcome: 'dropped' })
    expect(got).toEqual(['one true', 'news/eu two true'])
    await server.restart()
    await eventually(() => redis.available)
    await eventually(async () => {
      await bus.publish(news, 'three')
      return got.length > 2
    })
    expect(new Set(got)).toEqual(new Set(['one true', 'news/eu two true', 'three false']))
  })

  it('hung: the outcome is unknown and not delivered here as well; what Redis had taken is delivered once', async () => {
    const server = await aServer()
    const { bus, redis } = await join(server.url, { localWhenDown: true }, 75)
    const got: string[] = []
    await bus.subscribe(news, (text) => void got.push(text)).ready()
    server.pause()
    const started = fairNow()
    expect(await bus.publish(news, 'maybe')).toEqual({ outcome: 'unknown', reason: 'timeout' })
    expect(fairNow() - started).toBeLessThan(75 + 1000)
    expect(got).toEqual([])
    await eventually(() => !redis.available)
    expect(await bus.publish(news, 'here')).toMatchObject({ outcome: 'local' })
    server.resume()
    await eventually(() => redis.available, { within: 10_000 })
    await eventually(async () => {
      await bus.publish(news, 'again')
      return got.includes('again')
    })
    expect(got.filter((text) => text === 'maybe').length).toBeLessThanOrEqual(1)
    expect(got.filter((text) => text === 'here')).toHaveLength(1)
  })

  it('slow: publishing answers within its deadline', async () => {
    const server = await aServer()
    const proxy = await startProxy(server.port)
    cleanUp.unshift(() => proxy.stop())
    const { bus } = await join(proxy.url, {}, 75)
    proxy.latency(200)
    const started = fairNow()
    expect(await bus.publish(news, 'late')).toMatchObject({ outcome: 'unknown' })
    expect(fairNow() - started).toBeLessThan(75 + 1000)
  })

  it('refusing the command: the message is dropped, said once, and not delivered here', async () => {
    const server = await aServer()
    await server.client().call('ACL', 'SETUSER', 'reader', 'on', '>pw', '~*', '&*', '+@all', '-publish')
    const { bus, logged } = await join(server.url.replace('//', '//reader:pw@'), { localWhenDown: true })
    expect(await bus.publish(news, 'x')).toEqual({ outcome: 'dropped', reason: 'error' })
    expect(await bus.publish(news, 'y')).toEqual({ outcome: 'dropped', reason: 'error' })
    expect(logged.filter((line) => line.includes('NOPERM'))).toHaveLength(1)
  })
})

describeDegradation('pub/sub', {
  mount: (redis) => {
    const bus = createPubSub({ redis })
    let heard = 0
    bus.subscribe(news, () => void heard++)
    return express().get('/', async (_req, res) => {
      const { outcome } = await bus.publish(news, 'x')
      res.json({ outcome, heard })
    })
  },
  whenUp: async (get) => {
    const { heard } = await read(get)
    await eventually(
      async () => {
        const now = await read(get)
        expect(now.outcome).toBe('published')
        expect(now.heard).toBeGreaterThan(heard)
      },
      { within: 10_000 },
    )
  },
  whenAway: ({ body }) => expect(JSON.parse(body)).toMatchObject({ outcome: 'dropped' }),
})

async function read(get: Get): Promise<{ outcome: string; heard: number }> {
  return JSON.parse((await get()).body)
}
