import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { chromium, type Page } from 'playwright-core'
import request from 'supertest'
import { createApp } from '../../examples/11-notifications/app.js'
import { createRedisManager } from '../../src/index.js'
import { connect } from '../notifications/support.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

const cleanUp: (() => unknown)[] = []
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

let redisServer: RedisServer
beforeAll(async () => {
  redisServer = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
})
beforeEach(() => redisServer.client().flushall())
afterAll(() => redisServer.stop())

async function start(port = 0) {
  const redis = createRedisManager({ url: redisServer.url, logger: false, commandTimeout: 2000 })
  const { app, notifier } = createApp(redis)
  const server = await new Promise<Server>((resolve) => {
    const listening = app.listen(port, '127.0.0.1', () => resolve(listening))
  })
  const stop = async (): Promise<void> => {
    notifier.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await redis.close()
  }
  cleanUp.push(stop)
  await redis.ready()
  const listening = (server.address() as AddressInfo).port
  return { app, notifier, stop, port: listening, url: `http://127.0.0.1:${listening}` }
}

describe('the live page', () => {
  it('is served, and an order shows on the stream of the one who placed it', async () => {
    const { app, url } = await start()
    expect((await request(app).get('/')).text).toContain('new EventSource')
    const client = await connect(`${url}/events?user=eve`)
    await client.until('status')
    await request(app).post('/orders').expect(401)
    const { body } = await request(app).post('/orders?user=eve').expect(201)
    expect(body.notified).toBe('stored')
    expect((await client.until('order')).data).toMatchObject({ data: { id: body.id } })
    await request(app).post('/news').send({ text: 'Ahoy' }).expect(202)
    await client.until('headline')
    await request(app).post('/read?user=eve').expect({ unread: 0 })
    await client.until('unread')
  })
})

const CHROMIUM = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium'
const FULL = process.env.HOLDFAST_TEST_FULL === '1'

// The full run insists on a browser; the everyday one uses it where there is one, and shows the test as skipped elsewhere.
;(FULL || existsSync(CHROMIUM) ? describe : describe.skip)('in Chromium', () => {
  it('shows notifications at once, counts them in every tab, and misses none over restarts of the app and of Redis', async () => {
    const profile = await mkdtemp(join(tmpdir(), 'holdfast-chromium-'))
    const browser = await chromium.launchPersistentContext(profile, {
      executablePath: CHROMIUM,
      headless: true,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
      ].concat(['--disable-component-update', '--disable-sync']),
    })
    cleanUp.push(async () => {
      await browser.close()
      await rm(profile, { recursive: true, force: true })
    })
    const first = await start()
    const tabs = await Promise.all([browser.newPage(), browser.newPage()])
    for (const tab of tabs) {
      await tab.goto(`${first.url}/?user=ada`)
      await live(tab)
    }
    await tabs[0].click('#order')
    for (const tab of tabs) await shows(tab, 1)
    expect(await Promise.all(tabs.map((tab) => tab.textContent('#unread')))).toEqual(['1', '1'])
    await tabs[1].click('#read')
    await eventually(async () => (await tabs[0].textContent('#unread')) === '0')

    await first.stop()
    await eventually(async () => (await tabs[0].textContent('#state')) === 'offline', { within: 5000 })
    const second = await start(first.port)
    await second.notifier.notify('ada', { type: 'order', data: { id: 2 } })
    for (const tab of tabs) await shows(tab, 2)

    await redisServer.kill()
    await eventually(async () => (await tabs[0].textContent('#state')) === 'degraded', { within: 5000 })
    await redisServer.restart()
    for (const tab of tabs) await live(tab)
    await second.notifier.notify('ada', { type: 'order', data: { id: 3 } })
    for (const tab of tabs) await shows(tab, 3)
    expect(await tabs[0].locator('li').allTextContents()).toEqual([
      'Order 3 is on its way',
      'Order 2 is on its way',
      expect.stringMatching(/^Order \d{13} is on its way$/),
    ])
  }, 60_000)
})

const live = (tab: Page): Promise<unknown> => tab.waitForSelector('#state[data-state=live]', { timeout: 10_000 })
const shows = (tab: Page, count: number): Promise<unknown> =>
  eventually(async () => (await tab.locator('li').count()) === count, { within: 10_000 })
