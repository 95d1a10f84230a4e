import { createRedisManager } from 'holdfast'
import { createApp } from './app.js'

const redis = createRedisManager({ keyPrefix: 'shop' })
createApp(redis, process.env.SESSION_SECRET).listen(3000, () => {
  console.log('Open http://localhost:3000 in two browsers, log in with one name, and log one out from the other.')
})
