import { createRedisManager } from 'holdfast'
import { createApp } from './app.js'

const redis = createRedisManager({ keyPrefix: 'game' })
createApp(redis).listen(3000, () => {
  console.log("curl -X POST -H 'Content-Type: application/json' -d '{\"points\":3}' localhost:3000/players/ann/points")
  console.log('curl localhost:3000/players/ann')
})
