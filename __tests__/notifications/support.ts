import {
  type ClientRequest,
  createServer,
  get,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import {
  createNotifier,
  type Notifier,
  type NotifierOptions,
  type StreamOptions,
} from '../../src/notifications/index.js'
import { createRedisManager, type RedisManager, type RedisManagerOptions } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'

const cleanUp: (() => unknown)[] = []
/** Runs after the test, last registered first. */
export const afterwards = (step: () => unknown): void => void cleanUp.push(step)

export async function cleanAll(): Promise<void> {
  for (const step of cleanUp.splice(0).reverse()) await step()
}

export interface App {
  readonly redis: RedisManager
  readonly notifier: Notifier
  readonly url: string
  readonly server: Server
}

const byHeader: StreamOptions = {
  user: (req) => req.get('X-User'),
  topics: (req) => req.get('X-Topics')?.split(',') ?? [],
}

/** A process of its own, as far as Redis and its clients can tell. */
export async function serve(
  url: string | RedisManagerOptions,
  options: Partial<NotifierOptions> = {},
  stream: Partial<StreamOptions> = {},
): Promise<App> {
  const redis = createRedisManager({
    commandTimeout: 2000,
    ...(typeof url === 'string' ? { url } : url),
    logger: false,
  })
  const notifier = createNotifier({ redis, retry: 10, ...options })
  const app = express().get('/events', notifier.stream({ ...byHeader, ...stream }))
  const { base, server } = await listen(app)
  afterwards(async () => {
    notifier.close()
    await redis.close()
  })
  await redis.ready()
  return { redis, notifier, url: `${base}/events`, server }
}

export async function listen(app: RequestListener): Promise<{ base: string; server: Server }> {
  const server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterwards(() => {
    server.closeAllConnections()
    server.close()
  })
  return { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server }
}

export interface Received {
  readonly event: string
  readonly id: string | undefined
  readonly data: { readonly data?: unknown; readonly id?: string; readonly [name: string]: unknown }
}

/** Splits a stream into events as the HTML standard says. Strict: a line it does not know fails the test. */
export function createParser(onEvent: (event: Received) => void): (text: string) => void {
  let rest = ''
  return (text) => {
    const blocks = (rest + text).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const fields = new Map<string, string>()
      for (const line of block.split('\n')) {
        const [, name, value] = /^(id|event|data|retry|): ?(.*)$/.exec(line) ?? []
        if (name === undefined || value === undefined) throw new Error(`not a line of an event stream: ${line}`)
        fields.set(name, value)
      }
      const data = fields.get('data')
      if (data === undefined) continue
      onEvent({ event: fields.get('event') ?? 'message', id: fields.get('id'), data: JSON.parse(data) })
    }
  }
}

export interface Client {
  readonly events: Received[]
  readonly response: IncomingMessage
  /** What an EventSource would send when it comes back. */
  lastEventId: string | undefined
  readonly closed: boolean
  /** The data of all notifications so far. */
  data(): unknown[]
  of(event: string): Received[]
  until(event: string, count?: number): Promise<Received>
  close(): void
}

export interface ConnectOptions {
  readonly user?: string
  readonly topics?: string
  readonly lastEventId?: string | undefined
}

const OWN = new Set(['status', 'gap', 'unread'])

export async function connect(
  url: string,
  { user = 'ada', topics, lastEventId }: ConnectOptions = {},
): Promise<Client> {
  const headers = {
    'X-User': user,
    ...(topics === undefined ? {} : { 'X-Topics': topics }),
    ...(lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId }),
  }
  const [response, request] = await new Promise<[IncomingMessage, ClientRequest]>((resolve, reject) => {
    const sent = get(url, { headers, agent: false }, (answer) => resolve([answer, sent]))
    sent.once('error', reject)
  })
  request.on('error', () => {})
  response.on('error', () => {})
  const events: Received[] = []
  let closed = false
  response.once('close', () => {
    closed = true
  })
  const client: Client = {
    events,
    response,
    lastEventId,
    get closed() {
      return closed
    },
    data: () => events.filter(({ event }) => !OWN.has(event)).map(({ data }) => data.data),
    of: (event) => events.filter((each) => each.event === event),
    until: (event, count = 1) =>
      eventually(() => client.of(event)[count - 1] ?? Promise.reject(new Error(`no ${event}`)), { within: 5000 }),
    close: () => request.destroy(),
  }
  const parse = createParser((event) => {
    if (event.id !== undefined) client.lastEventId = event.id
    events.push(event)
  })
  response.setEncoding('utf8').on('data', parse)
  afterwards(() => request.destroy())
  return client
}

/** Connected, and told that it is live. */
export async function live(url: string, options: ConnectOptions = {}): Promise<Client> {
  const client = await connect(url, options)
  await client.until('status')
  return client
}
