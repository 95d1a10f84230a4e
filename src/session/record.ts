import type { Address } from './address.js'
import type { Json } from './merge.js'

/** What is fixed when an id is made: changing it takes a new id. */
export interface Facts {
  readonly userId?: string | undefined
  /** Hash of the id that the session began with: what it is called however often its id is renewed. */
  readonly family?: string | undefined
  /** When the user last proved who they are, in Unix ms of Redis' clock. */
  readonly authenticatedAt?: number | undefined
  /** As of {@link describeDevice}. */
  readonly device?: string | undefined
  /** The client's network address at log-in. */
  readonly address?: string | undefined
}

export interface SessionRecord {
  /** Not the id that was asked for, where that has been renewed. A handle, where that was asked for. */
  readonly id: string
  readonly address: Address
  /** As stored: what later changes are compared with. */
  readonly json: string
  readonly data: Json
  readonly facts: Facts
  readonly version: number
  /** All in ms of Redis' clock. */
  readonly begunAt: number
  readonly idMadeAt: number
  readonly deadline: number
  readonly lastSeen: number
  readonly idle: number
  readonly now: number
}

/** What a read found. Most requests ask for few of its parts, so that they are read from the reply when asked for. */
export class StoredRecord implements SessionRecord {
  readonly id: string
  readonly address: Address
  readonly json: string
  readonly data: Json
  readonly #numbers: readonly string[]
  readonly #readFacts: () => Facts
  #facts: Facts | undefined

  constructor(
    { id, address, json, data }: Pick<SessionRecord, 'id' | 'address' | 'json' | 'data'>,
    numbers: readonly string[],
    readFacts: () => Facts,
  ) {
    this.id = id
    this.address = address
    this.json = json
    this.data = data
    this.#numbers = numbers
    this.#readFacts = readFacts
  }

  get facts(): Facts {
    this.#facts ??= this.#readFacts()
    return this.#facts
  }

  get version(): number {
    return this.#number(0)
  }

  get begunAt(): number {
    return this.#number(1)
  }

  get idMadeAt(): number {
    return this.#number(2)
  }

  get deadline(): number {
    return this.#number(3)
  }

  get idle(): number {
    return this.#number(4)
  }

  get lastSeen(): number {
    return this.#number(5)
  }

  get now(): number {
    return this.#number(6)
  }

  /** Whether the read restarted the idle time. */
  get touched(): boolean {
    return this.#numbers[7] === '1'
  }

  #number(place: number): number {
    return Number(this.#numbers[place] ?? 0)
  }
}

/** `missing`: never was, was logged out, or its idle time passed. */
export type Found =
  | { readonly status: 'found'; readonly record: StoredRecord }
  | { readonly status: 'missing' | 'revoked' | 'expired' | 'corrupt' }
  /** Nobody can tell. */
  | { readonly status: 'unavailable'; readonly reason: string }

export interface Draft {
  readonly json: string
  readonly idle: number
  readonly absolute: number
  readonly facts?: Facts | undefined
  /** Overwrite a session of this id. */
  readonly replace?: boolean | undefined
  readonly refreshTokenHash?: string | undefined
}

export interface Change {
  /** What the writer read, and at which version. */
  readonly base: { readonly json: string; readonly version: number }
  readonly json: string
  readonly idle: number
}

/** A version of -1: the writer does not know what is stored now, and its next write has to merge. */
export type Saved = { readonly status: 'saved'; readonly version: number } | { readonly status: 'gone' }

export function parseObject(json: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined
  } catch {
    return undefined
  }
}
