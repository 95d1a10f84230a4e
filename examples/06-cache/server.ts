import { setTimeout as sleep } from 'node:timers/promises'
import { createRedisManager } from 'holdfast'
import { createApp } from './app.js'

const redis = createRedisManager({ keyPrefix: 'shop' })
const prices = new Map([[1, 120]])

createApp(redis, () => ({
  async find(id) {
    await sleep(500)
    const price = prices.get(id)
    return price === undefined ? null : { id, name: 'Anchor', price }
  },
  search: async () => [...prices.keys()],
  async setPrice(id, price) {
    prices.set(id, price)
    return { id, name: 'Anchor', price }
  },
})).listen(3000, () => {
  console.log('time curl -s localhost:3000/acme/products/1   # twice: half a second, then none')
  console.log('curl -X PUT localhost:3000/acme/products/1/price/99; curl localhost:3000/cache')
})
