import { createRedisManager } from 'holdfast'
import { createApp } from './app.js'

const redis = createRedisManager({ keyPrefix: 'shop' })
createApp(redis).listen(3000, () => {
  console.log('curl -i localhost:3000/products   # twice: X-Cache: MISS, then HIT')
  console.log("curl -X PUT -H 'Content-Type: application/json' -d '{\"price\":99}' localhost:3000/products/1/price")
})
