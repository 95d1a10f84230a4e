import { createRedisManager } from 'holdfast'
import { createServer } from 'holdfast/server'
import { createShop } from './app.js'

const redis = createRedisManager({ keyPrefix: 'shop' })
const { app } = createShop(redis)
createServer(app).listen(3000, () => {
  console.log('curl -i localhost:3000/products   # twice: X-Cache: MISS, then HIT, both with RateLimit')
})
