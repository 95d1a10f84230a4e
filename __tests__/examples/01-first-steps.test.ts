import { describe, it } from '@jest/globals'
import type { RedisManager } from 'holdfast'
import request from 'supertest'
import { createApp } from '../../examples/01-first-steps/app.js'
import { eventually } from '../support/eventually.js'
import { useRedis } from '../support/use-redis.js'

describe('the first example', () => {
  let redis: RedisManager

  useRedis((own) => {
    redis = own.redis
  })

  it('answers MISS, then HIT, then MISS again after a change', async () => {
    const app = createApp(redis, 'a secret for tests')
    await request(app).get('/products').expect(200).expect('X-Cache', 'MISS')
    await eventually(() => request(app).get('/products').expect('X-Cache', 'HIT'))
    await request(app).post('/products').send({ name: 'Buoy' }).expect(201)
    await request(app)
      .get('/products')
      .expect('X-Cache', 'MISS')
      .expect([
        { id: 1, name: 'Anchor' },
        { id: 2, name: 'Buoy' },
      ])
    await request(app).get('/health/ready').expect(200)
  })
})
