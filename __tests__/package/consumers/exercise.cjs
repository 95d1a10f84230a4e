const assert = require('node:assert/strict')
const { once } = require('node:events')

/** Serves one request of each kind with no Redis behind it, which is what a consumer's own unit tests do. */
module.exports = async function exercise({ express, holdfast, redisSession }) {
  const { createRedisManager, health, rateLimit, responseCache, securityLog } = holdfast
  const redis = createRedisManager({ url: 'redis://127.0.0.1:1' })
  const products = responseCache({ redis, ttl: '60s', tags: ['products'] })

  const app = express()
  app.use(securityLog({ redis, sink: () => {} }))
  app.use(rateLimit({ redis, limit: 100, window: '1m' }))
  app.use(redisSession({ redis, secret: 'a secret that is long enough to sign with' }))
  app.get('/products', products, (_req, res) => {
    res.json(['anchor'])
  })
  app.use('/health', health({ redis }))

  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const base = `http://127.0.0.1:${server.address().port}`
    const listed = await fetch(`${base}/products`)
    assert.equal(listed.status, 200)
    assert.equal(await listed.text(), '["anchor"]')
    assert.equal(listed.headers.get('x-cache'), 'BYPASS')
    assert.equal((await fetch(`${base}/health/live`)).status, 200)
  } finally {
    await redis.close()
    server.closeAllConnections()
    server.close()
  }
}
