import { expect, it } from '@jest/globals'
import type { Express } from 'express'
import request from 'supertest'
import { createApp, createMails, type Mail } from '../../examples/12-queue/app.js'
import { startWorker } from '../../examples/12-queue/worker.js'
import type { RedisManager } from '../../src/index.js'
import type { Queue } from '../../src/queue/index.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'

let server: RedisServer
let redis: RedisManager
let mails: Queue<Mail>
let app: Express
const delivered: string[] = []
let broken = 0

useRedis(
  async (own) => {
    server = own.server
    redis = own.redis
    mails = createMails(redis)
    app = createApp(redis, mails)
    await eventually(() => mails.counts(), within)
    startWorker(redis, mails, async ({ to }) => {
      if (broken-- > 0) throw new Error('busy')
      delivered.push(to)
    })
  },
  { close: () => mails.close('1s') },
)

const within = { within: 10_000 }
const post = (body: object) => request(app).post('/mails').send(body)

it('delivers each mail once, also after a failure, and everybody hears of it', async () => {
  broken = 1
  await post({ to: 'ada@example.org', subject: 'Ahoy', id: 'm1' }).expect(202, { id: 'm1', outcome: 'added' })
  await post({ to: 'ada@example.org', subject: 'Ahoy', id: 'm1' }).expect(202)
  await eventually(() => delivered.length === 1, within)
  await eventually(async () => (await request(app).get('/mails/sent')).body.count === 1)
  await post({ to: 'ada@example.org' }).expect(400)
  await post({ to: 'a', subject: 'x'.repeat(300_000) }).expect(413)
})

it('shows what is dead, and does it again when told to', async () => {
  const errors: unknown[] = []
  const { error } = console
  console.error = (line: unknown) => errors.push(line)
  try {
    await post({ to: 'nowhere', subject: 'Ahoy', id: 'm2' }).expect(202)
    await eventually(async () => (await request(app).get('/mails/dead')).body.length === 1, within)
    await eventually(() => errors.length === 1, within)
    expect(errors).toEqual(['mail m2 is dead: nowhere is no address'])
    await request(app).post('/mails/dead/unknown/retry').expect(404)
    await request(app).post('/mails/dead/m2/retry').expect(202)
    await eventually(() => errors.length === 2, within)
  } finally {
    console.error = error
  }
})

it('says so at once while Redis is away, and goes on when it is back', async () => {
  await server.kill()
  await eventually(() => !redis.available)
  await post({ to: 'bob@example.org', subject: 'Ahoy' }).expect(503).expect('Retry-After', '1')
  await server.restart()
  await eventually(() => post({ to: 'bob@example.org', subject: 'Ahoy', id: 'm3' }).expect(202), within)
  await eventually(() => delivered.includes('bob@example.org'), within)
})
