import type { FallbackReason } from '../redis/index.js'
import { ConfigurationError } from '../shared/errors.js'
import { show } from '../shared/options.js'
import { encodePayload, PayloadError } from '../shared/payload.js'
import { isEventId } from './event-id.js'
import type { NotifierSettings } from './options.js'
import { type Audience, createStore, type Notification, type Store, TYPE } from './store.js'
import { createStreams, type Streams } from './streams.js'

/** What is told. */
export interface Message {
  /**
   * Name of the event a browser listens to: 1 to 64 letters, digits, `_`, `.`, `:` or `-`; not `open`, `error`, `gap`,
   * `status` or `unread`. @default 'message'
   */
  readonly type?: string | undefined
  /** Anything that can be written as JSON. */
  readonly data: unknown
  /** Told a second time with the same key within 24 hours, it is stored once: for retries after `unknown`. */
  readonly key?: string | undefined
}

/**
 * `stored`: in the history, and on its way to every open stream. `duplicate`: its key was known. `local`: only clients
 * of this process were shown it. `dropped`: nobody was. `unknown`: Redis did not answer in time, and may have stored it;
 * tell it again with the same `key`.
 */
export type NotifyResult =
  | { readonly outcome: 'stored' | 'duplicate'; readonly id: string }
  | { readonly outcome: 'local' | 'dropped' | 'unknown'; readonly reason: FallbackReason }

export interface HistoryOptions {
  /** @default 20 */
  readonly limit?: number | undefined
  /** Only older ones than this id: the next page. */
  readonly before?: string | undefined
}

export interface History {
  /** Newest first. */
  readonly notifications: readonly Notification[]
  readonly unread: number
  /** Redis could not be asked: this is nothing, and not "none". */
  readonly degraded: boolean
}

export interface NotifierStats {
  /** Open event streams of this process, their users, and those whose client does not read fast enough. */
  readonly connections: number
  readonly users: number
  readonly lagging: number
}

/** Everything but the event streams themselves. */
export interface NotifierService {
  /** Tells one user. Never rejects because of Redis; rejects with a `PayloadError` for what cannot be told. */
  notify(userId: string | number, message: Message): Promise<NotifyResult>
  /** Tells everybody whose stream follows the topic. */
  broadcast(topic: string, message: Message): Promise<NotifyResult>
  /** What a user was told, newest first. Never rejects because of Redis. */
  history(userId: string | number, options?: HistoryOptions): Promise<History>
  /** How many a user has not read; `undefined` while Redis is away. */
  unread(userId: string | number): Promise<number | undefined>
  /** Marks everything as read, or everything up to an id, and tells the user's open streams. Answers as `unread` does. */
  markRead(userId: string | number, upTo?: string): Promise<number | undefined>
  /** Whether the user has an open stream in any process; `undefined` while Redis is away. */
  isOnline(userId: string | number): Promise<boolean | undefined>
  stats(): NotifierStats
  /** Ends every open stream; clients connect again elsewhere. Idempotent. */
  close(): void
}

/** `EventSource` itself, or the stream, uses these. */
const RESERVED: ReadonlySet<string> = new Set(['open', 'error', 'gap', 'status', 'unread'])
const NOT_SENT: ReadonlySet<FallbackReason> = new Set(['connecting', 'down', 'degraded', 'closed', 'overloaded'])
const MAX_HISTORY = 1000

export interface NotifierCore {
  readonly service: NotifierService
  readonly streams: Streams
}

export function createCore(settings: NotifierSettings): NotifierCore {
  const { maxBytes, localWhenDown } = settings
  const store: Store = createStore(settings)
  const streams = createStreams(settings, store)

  async function tell(
    owner: string,
    audience: Audience,
    { type = 'message', data, key }: Message,
  ): Promise<NotifyResult> {
    if (typeof type !== 'string' || !TYPE.test(type) || RESERVED.has(type)) {
      throw new PayloadError(owner, 'invalid', `the type ${show(type)} cannot be used`)
    }
    if (key !== undefined && (typeof key !== 'string' || key === '')) {
      throw new PayloadError(owner, 'invalid', 'the key must be a non-empty string')
    }
    const json = encodePayload(owner, data, maxBytes)
    const reply = await store.append(audience, type, json, key)
    if ('id' in reply) return { outcome: reply.stored ? 'stored' : 'duplicate', id: reply.id }
    const { reason } = reply
    if (!NOT_SENT.has(reason)) return { outcome: reason === 'error' ? 'dropped' : 'unknown', reason }
    const topic = audience.kind === 'topic' ? { topic: audience.name } : {}
    const shown =
      localWhenDown &&
      streams.showHere(
        audience,
        type,
        `{${JSON.stringify({ type, at: Date.now(), ...topic }).slice(1, -1)},"data":${json}}`,
      )
    return { outcome: shown ? 'local' : 'dropped', reason }
  }

  const service: NotifierService = {
    notify: async (userId, message) => tell('notify', userOf('notify', userId), message),
    broadcast: async (topic, message) => tell('broadcast', topicOf('broadcast', topic), message),
    async history(userId, { limit = 20, before } = {}) {
      const count = Math.min(Math.max(Math.trunc(limit) || 0, 1), MAX_HISTORY)
      const page = await store.readBack(userOf('history', userId), idOf('history', before), count)
      return page === undefined ? { notifications: [], unread: 0, degraded: true } : { ...page, degraded: false }
    },
    async unread(userId) {
      return (await store.readBack(userOf('unread', userId), undefined, 1))?.unread
    },
    markRead: async (userId, upTo) => store.markRead(userOf('markRead', userId), idOf('markRead', upTo)),
    isOnline: async (userId) => store.listenedTo(userOf('isOnline', userId)),
    stats: () => ({ connections: streams.connections, users: streams.users, lagging: streams.lagging }),
    close: () => streams.close(),
  }
  return { service, streams }
}

function userOf(owner: string, userId: unknown): Audience {
  return { kind: 'user', name: nameOf(owner, 'userId', userId) }
}

function topicOf(owner: string, topic: unknown): Audience {
  return { kind: 'topic', name: nameOf(owner, 'topic', topic) }
}

function nameOf(owner: string, what: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  throw new ConfigurationError(owner, what, `must be a non-empty string or a number, got ${show(value)}`)
}

function idOf(owner: string, id: unknown): string | undefined {
  if (id === undefined || isEventId(id)) return id
  throw new ConfigurationError(owner, 'id', `must be the id of a notification, got ${show(id)}`)
}
