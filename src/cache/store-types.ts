import type { RedisManager } from '../redis/index.js'
import type { Awaitable } from '../shared/awaitable.js'
import type { Dependency, Entry } from './entry.js'
import { STAMP } from './keyspace.js'
import type { LocalTier } from './tier.js'

/** What a caller makes of an entry's bytes, once for all who read it. */
export interface Decoded<Value> {
  readonly value: Value
  /** Memory it takes in this process. */
  readonly bytes: number
}

/**
 * `undefined` for bytes it cannot read: a miss. `kept`: the result may stay in this process, so it must not hold on to
 * the entry's memory, which is part of a far larger reply.
 */
export type Decode<Value> = (entry: Entry, kept: boolean) => Awaitable<Decoded<Value> | undefined>

export interface StoreOptions<Value> {
  readonly redis: RedisManager
  /** First part of every key, one for each kind of store. */
  readonly feature: string
  readonly namespace: string
  readonly decode: Decode<Value>
  /** Told apart from entries that another version of the program wrote. @default none */
  readonly stamp?: string | undefined
  /** Copies in this process, and how long one is kept at most. @default none */
  readonly local?: { readonly tier: LocalTier<Value>; readonly capMs: () => number } | undefined
  /** Whether changes are to be published, because not everybody is told by the server. @default only to those who wait */
  readonly publishes?: (() => boolean) | undefined
}

/** The versions as they were before a computation began. What is written with it is valid only while they stay. */
export interface Snapshot {
  readonly dependencies: readonly Dependency[]
  /** Changes with every invalidation of a tag: tells whether tags that are named later are still as they were. */
  readonly epoch: string
  /** Versions as a read found them, which may be about to expire: they are prolonged before anything is stored. */
  readonly isSeen?: boolean
}

export type Draft = Omit<Entry, 'dependencies'>

export interface BeginOptions {
  readonly tags: readonly string[]
  /** How long what is stored may live. */
  readonly lifetimeMs: number
  readonly leaseMs: number
  /** What lies there as far as is known: where it is something else by now, nothing is begun. */
  readonly seen: Buffer
  /** Takes the lease from whoever holds it, whatever lies there. @default false */
  readonly force?: boolean
}

export type Begun =
  | { readonly state: 'leading'; readonly token: string; readonly snapshot: Snapshot }
  | { readonly state: 'busy'; readonly leaseLeftMs: number }
  | { readonly state: 'changed' | 'away' }

/** What every entry of this version of the program depends on. */
export function stampOf({ stamp }: { readonly stamp?: string | undefined }): readonly Dependency[] {
  return stamp === undefined ? [] : [{ name: STAMP, version: stamp }]
}
