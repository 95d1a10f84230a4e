import type { AddressInfo } from 'node:net'
import express from 'express'
import { createRedisManager } from '../../src/redis/index.js'
import { type ResponseCacheOptions, responseCache } from '../../src/response-cache/index.js'
import { forwarder } from './forwarder.js'

/** The application under test: arguments are the URL of Redis, the origin's port, and options as JSON. */
const [url, origin, options] = process.argv.slice(2) as [string, string, string]
const redis = createRedisManager({ url, logger: false, commandTimeout: (process.env.COMMAND_TIMEOUT ?? '2s') as '2s' })
await redis.ready()

const app = express().disable('etag').disable('x-powered-by')
const only = JSON.parse(options) as Omit<ResponseCacheOptions, 'redis'>
// A gateway's origin says of each error how long it holds.
app.use('/test', responseCache({ redis, storeErrors: true, ...only }))
app.use(forwarder(Number(origin)))

const server = app.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('disconnect', () => process.exit())
