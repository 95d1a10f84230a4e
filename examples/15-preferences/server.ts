import { createRedisManager } from 'holdfast'
import { createApp } from './app.js'

const redis = createRedisManager({ keyPrefix: 'shop' })
createApp(redis).listen(3000, () => {
  console.log('curl -i localhost:3000/users/ann/preferences   # its ETag is the If-Match of the next PATCH')
})
