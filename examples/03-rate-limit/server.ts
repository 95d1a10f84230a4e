import { createRedisManager } from 'holdfast'
import { createApp } from './app.js'

const redis = createRedisManager({ keyPrefix: 'shop' })
createApp(redis).listen(3000, () => {
  console.log(
    'for i in 1 2 3 4 5 6; do curl -si localhost:3000/api/orders -H "x-api-key: key-of-ada" | grep -i limit; done',
  )
  console.log('curl -i -X DELETE localhost:3000/limits/ada')
})
