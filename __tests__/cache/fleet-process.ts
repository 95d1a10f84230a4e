import { setTimeout as sleep } from 'node:timers/promises'
import { createCache } from '../../src/cache/index.js'
import { createRedisManager } from '../../src/redis/index.js'

/*
 * Connects, says `ready`, and when asked wants one cold key a hundred times at once. Says what it was given; how often
 * the value was computed anywhere is counted in Redis.
 */
const [url = '', local = ''] = process.argv.slice(2)
// How often is looked at here: on a slow machine a deadline that is missed would add a computation.
const redis = createRedisManager({ url, logger: false, commandTimeout: '20s', connectTimeout: '20s' })
const cache = createCache({ redis, namespace: 'fleet', local: local === 'local', leaseTime: '20s' })

const compute = async (): Promise<number> => {
  const runs = await redis.execute('count', (client) => client.incr('computations'))
  await sleep(200)
  return runs
}

process.on('message', async () => {
  const values = await Promise.all(
    Array.from({ length: 100 }, () => cache.getOrSet('cold', compute, { waitTimeout: '60s' })),
  )
  process.send?.({ values: [...new Set(values)], misses: cache.stats().misses })
})

if (!(await redis.ready('20s'))) throw new Error('no Redis')
process.send?.('ready')
