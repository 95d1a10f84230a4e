import type { Redis } from 'ioredis'
import type { Unsubscribe } from '../shared/emitter.js'
import { TrackedNode } from './tracked-node.js'

/** Told of every change under its feature, whoever made it: writes, deletions, expiry, eviction. */
export interface Watcher {
  readonly changed: (key: string) => void
  /** The state changed, or everything was flushed: whatever is remembered is to be dropped. */
  readonly reset: () => void
}

/** `armed`: every change is announced. `unsupported`: this server refuses or loses announcements. */
export type TrackingState = 'off' | 'arming' | 'armed' | 'unsupported'

/** Server-assisted invalidation: Redis announces changed keys on connections of their own, one per master. */
export interface Tracking {
  readonly state: TrackingState
  watch(feature: string, watcher: Watcher): Unsubscribe
  close(): void
}

export interface TrackingOptions {
  /** The masters as connected now; empty while none is known. */
  readonly nodes: () => readonly Redis[]
  /** A connection to the node that does not reconnect by itself. */
  readonly open: (node: Redis) => Redis | undefined
  /** First part of a feature's keys. */
  readonly prefixOf: (feature: string) => string
  /** A key of the feature that the node serves, for the test that announcements arrive. */
  readonly probeKey: (feature: string, node: Redis) => string
  readonly onError: (error: unknown) => void
  /** Between two looks at the connections, and for a PING to be answered: twice this bounds what is unnoticed. */
  readonly everyMs?: number
}

const RETRY_UNSUPPORTED_MS = 30_000

export function createTracking({ nodes, open, prefixOf, probeKey, onError, everyMs = 400 }: TrackingOptions): Tracking {
  const watchers = new Map<string, Set<Watcher>>()
  const tracked = new Map<string, TrackedNode>()
  let timer: NodeJS.Timeout | undefined
  let state: TrackingState = 'off'
  let refusedAt = Number.NEGATIVE_INFINITY
  let closed = false

  function each(call: (watcher: Watcher) => void): void {
    for (const set of watchers.values()) {
      for (const watcher of set) {
        try {
          call(watcher)
        } catch (error) {
          onError(error)
        }
      }
    }
  }

  function changed(key: string): void {
    for (const [feature, set] of watchers) {
      if (!key.startsWith(prefixOf(feature))) continue
      for (const watcher of set) {
        try {
          watcher.changed(key)
        } catch (error) {
          onError(error)
        }
      }
    }
  }

  function enter(next: TrackingState): void {
    if (next === state) return
    state = next
    // On arming too: what changed before it was not announced.
    each((watcher) => watcher.reset())
  }

  function drop(id: string): void {
    tracked.get(id)?.close()
    tracked.delete(id)
  }

  /** Brings the tracked connections together with the masters there are. */
  function look(): void {
    if (closed || watchers.size === 0) return
    if (state === 'unsupported' && performance.now() - refusedAt < RETRY_UNSUPPORTED_MS) return
    const wanted = new Map(nodes().map((node) => [idOf(node), node]))
    for (const [id, node] of tracked) if (!wanted.has(id) || node.state === 'lost') drop(id)
    for (const [id, node] of wanted) {
      const present = tracked.get(id)
      if (present === undefined) track(id, node)
      else present.ping()
    }
    settle(wanted.size)
  }

  function settle(wanted: number = nodes().length): void {
    if (closed) return
    const all = [...tracked.values()]
    if (all.some((node) => node.state === 'refused')) {
      refusedAt = performance.now()
      for (const id of [...tracked.keys()]) drop(id)
      return enter('unsupported')
    }
    enter(wanted > 0 && all.length === wanted && all.every((node) => node.state === 'armed') ? 'armed' : 'arming')
  }

  function track(id: string, node: Redis): void {
    const connection = open(node)
    if (connection === undefined) return
    const features = [...watchers.keys()]
    tracked.set(
      id,
      new TrackedNode({
        connection,
        prefixes: features.map(prefixOf),
        probe: () => {
          const key = probeKey(features[0] as string, node)
          return { key, write: () => node.set(key, '', 'PX', 1000) }
        },
        onChange: changed,
        onFlush: () => each((watcher) => watcher.reset()),
        onState: () => settle(),
        deadlineMs: 2 * everyMs,
      }),
    )
  }

  return {
    get state() {
      return state
    },
    watch(feature, watcher) {
      const set = watchers.get(feature) ?? new Set()
      if (!watchers.has(feature)) {
        watchers.set(feature, set)
        // The prefixes of a connection cannot be changed once it listens.
        for (const id of [...tracked.keys()]) drop(id)
        enter('arming')
      }
      set.add(watcher)
      timer ??= setInterval(look, everyMs).unref()
      look()
      return () => {
        set.delete(watcher)
        if (set.size === 0 && watchers.get(feature) === set) watchers.delete(feature)
        if (watchers.size > 0) return
        clearInterval(timer)
        timer = undefined
        for (const id of [...tracked.keys()]) drop(id)
        enter('off')
      }
    },
    close() {
      closed = true
      clearInterval(timer)
      for (const id of [...tracked.keys()]) drop(id)
      enter('off')
      watchers.clear()
    },
  }
}

function idOf({ options }: Redis): string {
  return `${options.host}:${options.port}`
}
