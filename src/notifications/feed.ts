import type { RedisManager, Subscription } from '../redis/index.js'
import type { Cursor } from './cursor.js'
import { isEventId } from './event-id.js'
import { digestOf } from './position.js'
import { type Audience, entryOf, type ReadPage, reportCorrupt, type Store } from './store.js'

/** One stream as this process follows it: one subscription for all clients that read it. */
export interface Feed {
  readonly audience: Audience
  readonly digest: string
  readonly cursors: Set<Cursor>
  /** The most recent count that was read or announced. */
  unread: number
  /** True where announcements are being received, as far as is known within a second. */
  subscribed(): Promise<boolean>
  /** Clients at the same position share one read. */
  read(from: string | undefined, recent: number, subscribed: boolean): Promise<ReadPage | undefined>
}

export interface Feeds {
  readonly size: number
  join(audience: Audience): Feed
  /** The feed, where this process follows it. */
  find(audience: Audience): Feed | undefined
  /** Ends the feed if nobody follows it any more. */
  leave(feed: Feed): void
  close(): void
}

export interface FeedsOptions {
  readonly redis: RedisManager
  readonly store: Store
  readonly onUnread: (feed: Feed) => void
}

/** Entries per read; what a slow client cannot take of them is dropped and read again. */
const PAGE = 50
/** Reads at a time: after an outage every client wants one at once. */
const PARALLEL_READS = 32
const ANNOUNCEMENT = /^n (\S+) (\S*) (\S+) ([\s\S]*)$/
const READ_ANNOUNCEMENT = /^r (\d{1,15})$/

export function createFeeds({ redis, store, onUnread }: FeedsOptions): Feeds {
  const feeds = new Map<string, { readonly feed: Feed; readonly subscription: Subscription }>()
  const limited = createLimit(PARALLEL_READS)

  function open(audience: Audience, channel: string): { feed: Feed; subscription: Subscription } {
    const reads = new Map<string, Promise<ReadPage | undefined>>()
    const cursors = new Set<Cursor>()

    const receive = (message: string): void => {
      const counted = READ_ANNOUNCEMENT.exec(message)
      if (counted !== null) {
        feed.unread = Number(counted[1])
        return onUnread(feed)
      }
      const [, id, prev = '', type = '', json = ''] = ANNOUNCEMENT.exec(message) ?? []
      if (!isEventId(id)) return reportCorrupt(redis)
      // A read that began before this was published may not have seen it.
      reads.clear()
      const entry = entryOf(id, prev, type, json)
      if (entry.json === undefined) reportCorrupt(redis)
      for (const cursor of cursors) cursor.published(entry)
    }
    const missed = (): void => {
      reads.clear()
      for (const cursor of cursors) cursor.fallBehind()
    }
    const subscription = redis.subscriber.subscribe(channel, receive, { onGap: missed })

    const feed: Feed = {
      audience,
      digest: digestOf(audience.name),
      cursors,
      unread: 0,
      subscribed: () => subscription.ready(),
      read(from, recent, subscribed) {
        const key = `${subscribed} ${from ?? `recent ${recent}`}`
        const shared = reads.get(key)
        if (shared !== undefined) return shared
        const reading = limited(() => store.readFrom(audience, from, from === undefined ? recent : PAGE)).then(
          (page) => {
            if (reads.get(key) === reading) reads.delete(key)
            if (page !== undefined) feed.unread = page.unread
            return page
          },
        )
        reads.set(key, reading)
        return reading
      },
    }
    return { feed, subscription }
  }

  return {
    get size() {
      return feeds.size
    },
    join(audience) {
      const channel = store.channelOf(audience)
      const known = feeds.get(channel) ?? open(audience, channel)
      feeds.set(channel, known)
      return known.feed
    },
    find: (audience) => feeds.get(store.channelOf(audience))?.feed,
    leave(feed) {
      if (feed.cursors.size > 0) return
      const channel = store.channelOf(feed.audience)
      const known = feeds.get(channel)
      if (known?.feed !== feed) return
      feeds.delete(channel)
      known.subscription.close()
    },
    close() {
      for (const { subscription } of feeds.values()) subscription.close()
      feeds.clear()
    },
  }
}

function createLimit(max: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0
  const waiting: (() => void)[] = []
  return async (work) => {
    if (running >= max) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) running--
      else next()
    }
  }
}
