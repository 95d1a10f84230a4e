import { createRedisManager } from 'holdfast'
import { createApp } from './app.js'

const redis = createRedisManager({ keyPrefix: 'shop' })
const { app, drain, close } = createApp(redis)
const server = app.listen(3000, () => {
  console.log('curl -s localhost:3000/health                  # the whole report')
  console.log("curl -s 'localhost:3000/health?format=simple'  # the short one")
  console.log('curl -s localhost:3000/metrics                 # for Prometheus')
})

process.once('SIGTERM', () => {
  drain()
  // Until the load balancer has seen that /health/ready answers 503.
  setTimeout(() => {
    server.close(async () => {
      await close()
      await redis.close()
    })
    server.closeIdleConnections()
  }, 5000)
})
