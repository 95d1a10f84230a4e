import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { createNotifier } from '../../src/notifications/index.js'
import { createRedisManager } from '../../src/redis/index.js'

/** One of several processes behind a load balancer: started by fleet.test.ts, it says its port and serves until killed. */
const redis = createRedisManager({ url: process.env.REDIS_URL, logger: false })
const notifier = createNotifier({ redis, retry: 50, maxPerUser: 1000 })
const server = createServer(express().get('/events', notifier.stream({ user: (req) => req.get('X-User') })))
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
process.stdin.resume().once('end', () => process.exit(0))
