import type { RedisManager } from '../redis/index.js'
import type { Unsubscribe } from '../shared/emitter.js'
import { Connection, type EventSink } from './connection.js'
import type { StreamRefusal } from './events.js'
import { createFeeds, type Feed } from './feed.js'
import type { NotifierSettings } from './options.js'
import { parsePosition } from './position.js'
import type { Audience, Store } from './store.js'

export interface StreamRequest {
  readonly user: string
  readonly topics: readonly string[]
  /** As the client sent it. */
  readonly lastEventId: unknown
  readonly recent: number
}

/** The open event streams of this process. */
export interface Streams {
  readonly connections: number
  readonly users: number
  readonly lagging: number
  connectionsOf(user: string): number
  refusal(user: string): StreamRefusal | undefined
  /** Call only where {@link refusal} is undefined. */
  open(sink: EventSink, request: StreamRequest): void
  /** Shows something that is not stored to the clients of this process. True where there are any. */
  showHere(audience: Audience, event: string, data: string): boolean
  close(): void
}

const TICK = 1000

export function createStreams({ redis, maxConnections, maxPerUser, limits }: NotifierSettings, store: Store): Streams {
  const connections = new Set<Connection>()
  const byUser = new Map<string, Set<Connection>>()
  const feeds = createFeeds({
    redis,
    store,
    onUnread: ({ audience }) => {
      for (const connection of byUser.get(audience.name) ?? []) connection.sendUnread()
    },
  })
  const offs: Unsubscribe[] = [
    ...(['down', 'degraded'] as const).map((event) =>
      redis.on(event, () => each((connection) => connection.changed())),
    ),
    ...(['up', 'recovered'] as const).map((event) => redis.on(event, () => each((connection) => connection.resume()))),
  ]
  let timer: NodeJS.Timeout | undefined
  let closed = false

  function each(work: (connection: Connection) => void): void {
    for (const connection of [...connections]) work(connection)
  }

  function tick(): void {
    const now = performance.now()
    each((connection) => connection.tick(now))
  }

  function forget(connection: Connection): void {
    connections.delete(connection)
    const { name } = connection.user.audience
    const ofUser = byUser.get(name)
    ofUser?.delete(connection)
    if (ofUser?.size === 0) byUser.delete(name)
    for (const { feed } of connection.cursors) feeds.leave(feed)
    if (connections.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  return {
    get connections() {
      return connections.size
    },
    get users() {
      return byUser.size
    },
    get lagging() {
      return [...connections].filter(({ lagging }) => lagging).length
    },
    connectionsOf: (user) => byUser.get(user)?.size ?? 0,
    refusal(user) {
      if (closed || redis.state === 'closed') return 'closed'
      if (connections.size >= maxConnections) return 'total-limit'
      return (byUser.get(user)?.size ?? 0) >= maxPerUser ? 'user-limit' : undefined
    },
    open(sink, { user: name, topics: names, lastEventId, recent }) {
      const user = feeds.join({ kind: 'user', name })
      const topics = [...new Set(names)].sort().map((topic) => feeds.join({ kind: 'topic', name: topic }))
      const connection = new Connection({
        sink,
        user,
        topics,
        positions: positionsOf(user, topics, lastEventId),
        recent,
        limits,
        available: () => redis.available,
        onGap: () => emit(redis, { type: 'gap' }),
        onClose: (which, reason) => {
          forget(which)
          emit(redis, { type: 'closed', reason, connections: connections.size })
        },
      })
      connections.add(connection)
      const ofUser = byUser.get(name) ?? new Set()
      byUser.set(name, ofUser.add(connection))
      timer ??= setInterval(tick, Math.min(TICK, limits.heartbeat, limits.stallTimeout)).unref()
      emit(redis, { type: 'opened', connections: connections.size })
      connection.start()
    },
    showHere(audience, event, data) {
      const feed = feeds.find(audience)
      if (feed === undefined) return false
      const concerned = [...connections].filter(({ cursors }) => cursors.some((cursor) => cursor.feed === feed))
      return concerned.filter((connection) => connection.sendAside(event, data)).length > 0
    },
    close() {
      closed = true
      for (const off of offs) off()
      each((connection) => connection.close('server'))
      feeds.close()
    },
  }
}

export function emit(redis: RedisManager, event: Parameters<typeof redis.emit<'notifications.stream'>>[1]): void {
  redis.emit('notifications.stream', event)
}

function positionsOf(user: Feed, topics: readonly Feed[], lastEventId: unknown): Map<Feed, string> {
  const positions = new Map<Feed, string>()
  const given = parsePosition(lastEventId)
  if (given === undefined) return positions
  if (given.user !== undefined) positions.set(user, given.user)
  for (const feed of topics) {
    const position = given.topics.get(feed.digest)
    if (position !== undefined) positions.set(feed, position)
  }
  return positions
}
