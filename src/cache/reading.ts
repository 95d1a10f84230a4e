import type { FallbackReason } from '../redis/index.js'
import type { Resident } from './tier.js'
import type { Versions } from './versions.js'

/** Of the bytes that were found, whatever they are: tells later whether they are still the same. */
export type Mark = Buffer

export interface Surroundings {
  /** Versions that were read along. */
  readonly versions: Versions
  /** Token of the computation that holds the lease, where it was asked for. */
  readonly lease: string | undefined
}

/** `away`: Redis was not asked or did not answer; nothing is known about the key. */
export type Reading<Value> =
  | ({ readonly state: 'found'; readonly resident: Resident<Value>; readonly mark: Mark } & Surroundings)
  | ({ readonly state: 'absent'; readonly mark: Mark } & Surroundings)
  | { readonly state: 'away'; readonly reason: FallbackReason | 'pending' }

/** Where there was nothing. */
export const NO_MARK: Mark = Buffer.alloc(0)

/** The mark of an entry's frame: the time it was made. */
export function markOf({ createdAt }: { readonly createdAt: number }): Mark {
  const mark = Buffer.alloc(8)
  mark.writeDoubleBE(createdAt)
  return mark
}

/** A hit hardly ever needs its mark: it is made when asked for. */
export class FoundReading<Value> {
  readonly state = 'found'
  readonly resident: Resident<Value>
  readonly versions: Versions
  readonly lease: string | undefined

  constructor(resident: Resident<Value>, { versions, lease }: Surroundings) {
    this.resident = resident
    this.versions = versions
    this.lease = lease
  }

  get mark(): Mark {
    return markOf(this.resident)
  }
}

export function absent<Value>({ versions, lease }: Surroundings, frame?: Buffer): Reading<Value> {
  return { state: 'absent', versions, lease, mark: frame === undefined ? NO_MARK : frame.subarray(4, 12) }
}

export function away<Value>(reason: FallbackReason | 'pending'): Reading<Value> {
  return { state: 'away', reason }
}
