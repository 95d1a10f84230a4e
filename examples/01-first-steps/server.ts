import { createRedisManager } from 'holdfast'
import { createApp } from './app.js'

const redis = createRedisManager({ keyPrefix: 'shop' })
const app = createApp(redis, process.env.SESSION_SECRET ?? 'only for this example')
const server = app.listen(3000, () => console.log('http://localhost:3000/products'))

process.once('SIGTERM', () => {
  server.close(() => void redis.close())
})
