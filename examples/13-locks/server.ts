import { createRedisManager } from 'holdfast'
import { createApp } from './app.js'

const redis = createRedisManager({ keyPrefix: 'shop' })
createApp(redis, 3000).listen(3000, () => {
  console.log('curl -X POST localhost:3000/invoices/2026-11   # twice at the same time: 201 and 409')
})
