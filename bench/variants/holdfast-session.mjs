import { createRedisManager } from 'holdfast'
import { redisSession } from 'holdfast/session'
import { sessionApp } from './session-app.mjs'

export const login = '/login'

export async function create(url) {
  const redis = createRedisManager({ url })
  await redis.ready()
  return sessionApp(redisSession({ redis, secret: 'a secret for the benchmark' }))
}
