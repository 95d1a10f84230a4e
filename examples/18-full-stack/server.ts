import { createRedisManager } from 'holdfast'
import { createServer } from 'holdfast/server'
import { createShop } from './app.js'

const redis = createRedisManager({ keyPrefix: 'shop' })
const { app, front } = createShop(redis)
createServer(app, { front }).listen(3000, () => {
  console.log('curl -i localhost:3000/products    # X-Cache: MISS, then HIT, both with RateLimit')
  console.log('curl -i localhost:3000/catalogue   # from the third time on, Express does not see it')
})
