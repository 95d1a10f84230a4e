import { expect, it } from '@jest/globals'
import type { Express } from 'express'
import request from 'supertest'
import { createApp } from '../../examples/14-leaderboard/app.js'
import type { RedisManager } from '../../src/index.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'

let server: RedisServer
let redis: RedisManager
let app: Express

useRedis((own) => {
  server = own.server
  redis = own.redis
  app = createApp(redis)
})

it('counts points, shows a player among its neighbours, and refuses what is no number', async () => {
  for (const [name, points] of [
    ['ann', 3],
    ['bob', 5],
    ['ann', 2],
    ['cid', 1],
  ] as const) {
    await request(app).post(`/players/${name}/points`).send({ points }).expect(200)
  }
  const { body } = await request(app).get('/players/ann')
  expect(body).toMatchObject({ score: 5, rank: 1, ordinal: 2, total: 3 })
  expect(body.neighbours.map(({ member }: { member: string }) => member)).toEqual(['bob', 'ann', 'cid'])
  expect((await request(app).get('/top')).body).toHaveLength(3)
  expect((await request(app).get('/winners')).body).toEqual([])
  await request(app).get('/players/zoe').expect(404)
  await request(app).post('/players/ann/points').send({ points: 'many' }).expect(400)
})

it('answers 503 while Redis is away', async () => {
  await server.kill()
  await eventually(() => !redis.available)
  await request(app).get('/top').expect(503)
})
