import { type Mark, markOf, type Snapshot } from '../cache/store.js'
import type { Encoded } from './encoded.js'
import type { DecodedHead, Kept } from './kept.js'
import type { Prepared } from './prepared.js'
import type { StoredHead } from './stored.js'

/** What is asked for, whichever of its variants. */
export interface Resource {
  readonly key: string
  readonly entryKey: string
  readonly urlTag: string
  /** Those that every response has here, and its own. */
  readonly tags: readonly string[]
}

export class Found {
  readonly state = 'hit'
  readonly head: StoredHead
  readonly prepared: Prepared
  readonly body: Buffer
  readonly text: string | undefined
  readonly encoded: Encoded | undefined
  /** When it was made, and until when it is fresh and kept; ms since the epoch. */
  readonly birth: number
  readonly freshUntil: number
  readonly staleUntil: number
  /** Request headers that selected it. */
  readonly names: readonly string[]
  readonly key: string

  constructor(
    { head, prepared }: Extract<DecodedHead, { kind: 'response' }>,
    kept: Kept,
    names: readonly string[],
    key: string,
  ) {
    this.head = head
    this.prepared = prepared
    this.body = kept.body
    this.text = kept.text
    this.encoded = kept.encoded
    this.birth = kept.createdAt
    this.freshUntil = kept.freshUntil
    this.staleUntil = kept.staleUntil
    this.names = names
    this.key = key
  }

  /** Of the bytes under that key. */
  get seen(): Mark {
    return markOf({ createdAt: this.birth })
  }
}

export interface Missed {
  readonly state: 'miss'
  readonly names: readonly string[]
  /** Where the response would be. */
  readonly key: string
  readonly seen: Mark
  /** From the read itself, where that was asked for. */
  readonly snapshot?: Snapshot | undefined
}

export type Lookup = Found | Missed | { readonly state: 'away' }
