import { createRedisManager } from 'holdfast'
import { createApp } from './app.js'

const redis = createRedisManager({ keyPrefix: 'shop' })
const app = createApp(redis)
const server = app.listen(3000, () => {
  console.log('curl -i -H "X-Api-Key: ann" localhost:3000/search   # a few times, then:')
  console.log('curl localhost:3000/admin/usage?by=user')
})

process.once('SIGTERM', () => {
  server.close(async () => {
    await app.usage.close()
    await redis.close()
  })
})
