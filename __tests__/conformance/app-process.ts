import type { AddressInfo } from 'node:net'
import express, { type RequestHandler } from 'express'
import { compose } from '../../src/compose/index.js'
import { rateLimit } from '../../src/rate-limit/index.js'
import { createRedisManager } from '../../src/redis/index.js'
import { type ResponseCacheOptions, responseCache } from '../../src/response-cache/index.js'
import { createServer } from '../../src/server/index.js'
import { redisSession } from '../../src/session/index.js'
import { forwarder } from './forwarder.js'

/** The application under test: arguments are the URL of Redis, the origin's port, and options as JSON. */
const [url, origin, options] = process.argv.slice(2) as [string, string, string]
const redis = createRedisManager({ url, logger: false, commandTimeout: (process.env.COMMAND_TIMEOUT ?? '2s') as '2s' })
await redis.ready('10s')

const app = express().disable('etag').disable('x-powered-by')
const { form, ...only } = JSON.parse(options) as Omit<ResponseCacheOptions, 'redis'> & { form?: 'composed' | 'front' }
// A gateway's origin says of each error how long it holds.
const cache = responseCache({ redis, storeErrors: true, ...only })
const limit = rateLimit({ redis, limit: 1_000_000, headers: false, user: false }) as RequestHandler
const session = redisSession({ redis, secret: 'a secret of the tests' })
app.use('/test', form === 'composed' ? compose(limit, session, cache) : cache)
app.use(forwarder(Number(origin)))

const server = createServer(app, form === 'front' ? { front: [cache] } : {})
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('disconnect', () => process.exit())
