import { createRedisManager, responseCache } from 'holdfast'
import { everyoneAnother } from './miss-express-json.mjs'
import { payload } from './payload.mjs'

export async function create(url) {
  const redis = createRedisManager({ url, commandTimeout: '2s' })
  await redis.ready()
  const cache = responseCache({ redis, ttl: '10s', tags: ['products'] })
  return everyoneAnother().get('/', cache, (_req, res) => void res.json(payload))
}
