import type { FallbackReason, RedisManager } from '../redis/index.js'
import type { Dependency, Entry } from './entry.js'
import type { LocalTier, Resident } from './tier.js'

/** What a caller makes of an entry's bytes, once for all who read it. */
export interface Decoded<Value> {
  readonly value: Value
  /** Memory it takes in this process. */
  readonly bytes: number
}

export type Decode<Value> = (entry: Entry) => Decoded<Value> | undefined | Promise<Decoded<Value> | undefined>

export interface StoreOptions<Value> {
  readonly redis: RedisManager
  /** First part of every key, one for each kind of store. */
  readonly feature: string
  readonly namespace: string
  /** `undefined` for bytes it cannot read: a miss. */
  readonly decode: Decode<Value>
  /** Told apart from entries that another version of the program wrote. @default none */
  readonly stamp?: string | undefined
  /** Copies in this process, and how long one is kept at most. @default none */
  readonly local?: { readonly tier: LocalTier<Value>; readonly capMs: () => number } | undefined
  /** Whether changes are to be published, because not everybody is told by the server. @default only to those who wait */
  readonly publishes?: (() => boolean) | undefined
}

/** `away`: Redis was not asked or did not answer; nothing is known about the key. */
export type Reading<Value> =
  | ({ readonly state: 'found'; readonly resident: Resident<Value> } & Surroundings)
  | ({ readonly state: 'absent' } & Surroundings)
  | { readonly state: 'away'; readonly reason: FallbackReason | 'pending' }

export interface Surroundings {
  /** Of the bytes that were found, whatever they are: tells later whether they are still the same. */
  readonly mark: Mark
  /** Token of the computation that holds the lease, where it was asked for. */
  readonly lease: string | undefined
  /** Versions that were read along, by name. */
  readonly versions: ReadonlyMap<string, string | undefined>
}

export type Mark = Buffer

/** The versions as they were before a computation began. What is written with it is valid only while they stay. */
export interface Snapshot {
  readonly dependencies: readonly Dependency[]
  /** Changes with every invalidation of a tag: tells whether tags that are named later are still as they were. */
  readonly epoch: string
}

export type Draft = Omit<Entry, 'dependencies'>

export type Begun =
  | { readonly state: 'leading'; readonly token: string; readonly snapshot: Snapshot }
  | { readonly state: 'busy' | 'changed' | 'away' }

/** Where there was nothing. */
export const NO_MARK: Mark = Buffer.alloc(0)

/** The mark of an entry's frame: the time it was made. */
export function markOf({ createdAt }: { readonly createdAt: number }): Mark {
  const mark = Buffer.alloc(8)
  mark.writeDoubleBE(createdAt)
  return mark
}
