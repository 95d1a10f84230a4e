import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import express, { type Express, type RequestHandler } from 'express'
import express4 from 'express4'
import type { RedisManager } from '../../src/redis/index.js'
import { type ResponseCacheOptions, responseCache } from '../../src/response-cache/index.js'

/** An app in which one handler, counting its runs, stands behind a response cache. */
export interface Counted {
  readonly app: Express
  readonly cache: ReturnType<typeof responseCache>
  runs(): number
}

export interface AppOptions extends Partial<ResponseCacheOptions> {
  readonly redis: RedisManager
  readonly version?: 4 | 5
  /** Mounted before the cache. */
  readonly before?: readonly RequestHandler[]
  /** Mounted between the cache and the handler. */
  readonly after?: readonly RequestHandler[]
}

export function appWith(handler: RequestHandler, options: AppOptions): Counted {
  const { version = 5, before = [], after = [], ...rest } = options
  const app = version === 4 ? (express4() as unknown as Express) : express()
  const cache = responseCache({ ttl: '60s', ...rest })
  let runs = 0
  for (const middleware of before) app.use(middleware)
  app.use(cache)
  for (const middleware of after) app.use(middleware)
  app.use((req, res, next) => {
    runs++
    handler(req, res, next)
  })
  return { app, cache, runs: () => runs }
}

/** Sends bytes as they are and gives back everything the server said until it closed the connection. */
export function raw(app: Express, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const server = app.listen(0, '127.0.0.1', () => {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1', () => socket.write(text))
      let answer = ''
      socket.on('data', (chunk) => {
        answer += chunk.toString('latin1')
      })
      socket.on('error', reject)
      socket.on('close', () => server.close(() => resolve(answer)))
    })
  })
}
