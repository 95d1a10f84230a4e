import { expect, it } from '@jest/globals'
import type { Express } from 'express'
import request from 'supertest'
import { createApp } from '../../examples/04-sessions/app.js'
import type { RedisManager } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'

let server: RedisServer
let redis: RedisManager
let app: Express

useRedis(
  (own) => {
    server = own.server
    redis = own.redis
    app = createApp(redis)
  },
  { manager: { commandTimeout: 500 } },
)

const LAPTOP = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
const PHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1'

async function browser(userAgent: string, name: string) {
  const agent = request.agent(app).set('User-Agent', userAgent)
  await agent.post('/login').type('form').send({ name }).expect(303)
  return agent
}

it('shows a login page to visitors and their devices to users', async () => {
  await request(app)
    .get('/')
    .expect(200, /<form method="post" action="\/login">/)
  const laptop = await browser(LAPTOP, 'ann')
  await browser(PHONE, 'ann')
  const { text } = await laptop.get('/').expect(200)
  expect(text).toContain('Hello ann')
  expect(text).toContain('Firefox on Linux')
  expect(text).toContain('Safari on iPhone')
})

it('logs out one other device, or all of them', async () => {
  const [laptop, phone, tablet] = await Promise.all([LAPTOP, PHONE, PHONE].map((agent) => browser(agent, 'bob')))
  const { text } = await (laptop as typeof phone & object).get('/')
  const device = /name="device" value="([^"]+)"/
    .exec(text)?.[1]
    ?.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code))
  await laptop?.post('/devices/logout').type('form').send({ device }).expect(303)
  const left = await Promise.all(
    [phone, tablet].map(async (agent) => (await agent?.get('/'))?.text.includes('Hello bob')),
  )
  expect(left.filter(Boolean)).toHaveLength(1)
  await laptop?.post('/devices/logout-others').expect(303)
  for (const agent of [phone, tablet]) expect((await agent?.get('/'))?.text).toContain('Log in')
  expect((await laptop?.get('/'))?.text).toContain('Hello bob')
})

it('escapes what users call themselves', async () => {
  const agent = await browser(LAPTOP, '<script>alert(1)</script>')
  expect((await agent.get('/')).text).not.toContain('<script>alert')
})

it('knows its users again after an outage', async () => {
  const agent = await browser(LAPTOP, 'dana')
  server.pause()
  await eventually(async () => (await agent.get('/')).status === 503 && !redis.available)
  await agent.post('/devices/logout-others').expect(503)
  server.resume()
  await eventually(async () => (await agent.get('/')).text.includes('Hello dana'))
})
