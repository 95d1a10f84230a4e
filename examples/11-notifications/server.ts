import { createRedisManager } from 'holdfast'
import { createApp } from './app.js'

const redis = createRedisManager({ url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' })
const { app, notifier } = createApp(redis)
const server = app.listen(3000, () => {
  console.log('Open http://localhost:3000/?user=ada in two tabs, then place an order in one of them')
})

process.once('SIGTERM', () => {
  // Open streams would keep the server from closing; browsers come back to another process.
  notifier.close()
  server.close(() => void redis.close())
})
