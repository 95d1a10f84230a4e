import { warmUp } from '../../src/cache/warm.js'
import { createRedisManager } from '../../src/redis/index.js'

/* Warms the namespace `dying` and never gets done. Says `ready` once it is at work. */
const [url = ''] = process.argv.slice(2)
const redis = createRedisManager({ url, logger: false, commandTimeout: '20s', connectTimeout: '20s' })
if (!(await redis.ready('20s'))) throw new Error('no Redis')

await warmUp({
  redis,
  lockKey: redis.keys.key('cache-warm', 'dying', ''),
  lockMs: 2000,
  loaders: [{ key: 'page', load: () => {} }],
  run: () => {
    process.send?.('ready')
    return new Promise(() => {})
  },
  options: {},
})
