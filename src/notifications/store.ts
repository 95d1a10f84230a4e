import { type FallbackReason, masters, type RedisManager } from '../redis/index.js'
import { isEventId, timeOf } from './event-id.js'
import type { Entry, Page } from './plan.js'
import { append, markRead, type RawEntry, read, readBack } from './scripts.js'

/** Whose notifications: one user's, or those of everybody who follows a topic. */
export interface Audience {
  readonly kind: 'user' | 'topic'
  readonly name: string
}

/** One notification as it is read back. */
export interface Notification {
  /** Id of its entry in the stream, made by Redis; later ones are greater. */
  readonly id: string
  readonly type: string
  /** When it was stored, in ms since 1970, by the clock of Redis. */
  readonly at: number
  readonly data: unknown
}

export interface ReadPage extends Page {
  readonly unread: number
}

export type AppendReply = { readonly id: string; readonly stored: boolean } | { readonly reason: FallbackReason }

export interface StoreOptions {
  readonly redis: RedisManager
  readonly history: number
  /** In ms. */
  readonly ttl: number
}

/** Everything notifications ask of Redis. */
export interface Store {
  channelOf(audience: Audience): string
  append(audience: Audience, type: string, json: string, once: string | undefined): Promise<AppendReply>
  /** `undefined` while Redis is away. `from` undefined: the most recent `count`. */
  readFrom(audience: Audience, from: string | undefined, count: number): Promise<ReadPage | undefined>
  readBack(
    audience: Audience,
    before: string | undefined,
    count: number,
  ): Promise<{ readonly notifications: Notification[]; readonly unread: number } | undefined>
  /** The unread count afterwards. */
  markRead(audience: Audience, upTo: string | undefined): Promise<number | undefined>
  /** Whether any process is subscribed to the audience's channel; `undefined` while Redis is away. */
  listenedTo(audience: Audience): Promise<boolean | undefined>
}

/** Reading happens beside requests, not in them. */
const READ_DEADLINE = 1000
/** A repeated notification with the same key is told apart from a new one for this long. */
const ONCE_FOR = 24 * 3_600_000
/** The state outlives the log, so that a client of a quiet user is not told of a gap. */
const STATE_FACTOR = 2

export function createStore({ redis, history, ttl }: StoreOptions): Store {
  const { keys } = redis
  const away = (): undefined => undefined

  function keysOf({ kind, name }: Audience): [log: string, state: string] {
    const slot = keys.slot(name)
    return [keys.key('notifications', kind, slot, 'log'), keys.key('notifications', kind, slot, 'state')]
  }

  function channelOf({ kind, name }: Audience): string {
    return keys.key('notifications', kind, keys.slot(name), 'live')
  }

  function toEntry([id, fields]: RawEntry): Entry {
    const field = new Map<string, string>()
    for (let at = 0; at < fields.length; at += 2) field.set(fields[at] as string, fields[at + 1] as string)
    const entry = entryOf(id, field.get('p') ?? '', field.get('t') ?? '', field.get('d') ?? '')
    if (entry.json === undefined) reportCorrupt(redis)
    return entry
  }

  return {
    channelOf,
    append(audience, type, json, once) {
      const targets: string[] = keysOf(audience)
      if (once !== undefined) {
        targets.push(keys.key('notifications', audience.kind, keys.slot(audience.name), 'once', once))
      }
      const args = [history, ttl, ttl * STATE_FACTOR, Math.min(ttl, ONCE_FOR), channelOf(audience), type, json]
      return redis.attempt<AppendReply>(
        'notifications.append',
        async (client) => {
          const [id, stored] = await append.run(client, targets, args)
          return { id, stored: stored === 1 }
        },
        (reason) => ({ reason }),
      )
    },
    readFrom: (audience, from, count) =>
      redis.attempt<ReadPage | undefined>(
        'notifications.read',
        async (client) => {
          const [last, entries, unread] = await read.run(client, keysOf(audience), [from ?? '', count])
          return { last: isEventId(last) ? last : '', entries: entries.map(toEntry), unread }
        },
        away,
        { deadline: READ_DEADLINE },
      ),
    readBack: (audience, before, count) =>
      redis.attempt<{ notifications: Notification[]; unread: number } | undefined>(
        'notifications.history',
        async (client) => {
          const [entries, unread] = await readBack.run(client, keysOf(audience), [before ?? '', count])
          return { notifications: entries.flatMap((raw) => toNotification(toEntry(raw))), unread }
        },
        away,
      ),
    markRead: (audience, upTo) =>
      redis.attempt<number | undefined>(
        'notifications.mark-read',
        (client) => markRead.run(client, keysOf(audience), [upTo ?? '', channelOf(audience)]),
        away,
      ),
    listenedTo: (audience) =>
      redis.attempt<boolean | undefined>(
        'notifications.online',
        async (client) => {
          const channel = channelOf(audience)
          // A server counts its own subscribers only.
          const counts = await Promise.all(
            masters(client).map((node) => node.call('PUBSUB', 'NUMSUB', channel) as Promise<[string, number]>),
          )
          return counts.some(([, count]) => count > 0)
        },
        away,
      ),
  }
}

/** What a notification may be called: letters, digits and a few separators, since it becomes a line of its own. */
export const TYPE: RegExp = /^[A-Za-z0-9_.:-]{1,64}$/

/** Without `json` where the parts are not what we would have written. */
export function entryOf(id: string, prev: string, type: string, json: string): Entry {
  const valid = TYPE.test(type) && !/[\r\n]/.test(json) && (prev === '' || isEventId(prev)) && isJson(json)
  return valid ? { id, prev, type, json } : { id, prev: isEventId(prev) ? prev : '', type: 'corrupt', json: undefined }
}

export function reportCorrupt(redis: RedisManager): void {
  redis.emit('data.corrupt', { feature: 'notifications', problem: 'an entry is not a notification' })
}

function toNotification({ id, type, json }: Entry): Notification[] {
  return json === undefined ? [] : [{ id, type, at: timeOf(id), data: JSON.parse(json) }]
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
