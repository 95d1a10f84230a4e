import { setTimeout as sleep } from 'node:timers/promises'
import { createCache } from '../../src/cache/index.js'
import { createRedisManager } from '../../src/redis/index.js'

/*
 * A process of its own: connects, says `ready`, and on `go` asks a hundred times at once for one cold key. Says what it
 * was given; how often the value was computed anywhere is counted in Redis.
 */
const [url = '', local = ''] = process.argv.slice(2)
const redis = createRedisManager({ url, logger: false })
const cache = createCache({ redis, namespace: 'fleet', local: local === 'local' })

const compute = async (): Promise<number> => {
  const runs = await redis.execute('count', (client) => client.incr('computations'), { deadline: 5000 })
  await sleep(200)
  return runs
}

process.on('message', async () => {
  const values = await Promise.all(
    Array.from({ length: 100 }, () => cache.getOrSet('cold', compute, { waitTimeout: '20s' })),
  )
  process.send?.({ values: [...new Set(values)], misses: cache.stats().misses })
  cache.close()
  await redis.close()
  process.disconnect()
})

await redis.ready(10_000)
process.send?.('ready')
