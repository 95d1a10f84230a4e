import type { RedisManager } from '../redis/index.js'
import type { Address } from './address.js'
import { type Codec, isUnknownKey, type Opened } from './codec.js'
import { placeOfData, placeOfFacts } from './places.js'
import { type Facts, type Found, parseObject, type SessionRecord } from './record.js'
import type { FoundReply } from './scripts.js'

/** Turns what a read replied into a session, or says what is wrong with it. */
export class RecordReader {
  readonly #redis: RedisManager
  readonly #codec: Codec
  /** Told of a session that was sealed with a key of before. */
  readonly #outdated: (address: Address) => void

  constructor(redis: RedisManager, codec: Codec, outdated: (address: Address) => void) {
    this.#redis = redis
    this.#codec = codec
    this.#outdated = outdated
  }

  /** Also gives whether the read restarted the idle time. */
  read(id: string, address: Address, [, data, meta, numbers]: FoundReply): { found: Found; touched: boolean } {
    const [version = 0, begunAt = 0, idMadeAt = 0, deadline = 0, idle = 0, lastSeen = 0, now = 0, touched = 0] = numbers
      .toString()
      .split(' ')
      .map(Number)
    const opened = this.#codec.open(data, placeOfData(address, version))
    // Most requests do not ask for the facts; but who lacks a key to them must not take the user for nobody.
    const facts = this.#codec.binary ? this.#codec.open(meta, placeOfFacts(address)) : undefined
    if (isUnknownKey(opened) || (facts !== undefined && isUnknownKey(facts))) {
      return { found: { status: 'unavailable', reason: 'unknown-key' }, touched: false }
    }
    const parsed = 'text' in opened ? parseObject(opened.text) : undefined
    // The record is kept: a mistake in the roll-out of a key must not cost the sessions.
    if (!('text' in opened) || parsed === undefined) {
      return { found: this.corrupt('the data of a session cannot be read'), touched: false }
    }
    if (opened.outdated || (facts !== undefined && 'text' in facts && facts.outdated)) this.#outdated(address)
    const record: SessionRecord = {
      ...{ id, address, json: opened.text, data: parsed, version },
      ...{ begunAt, idMadeAt, deadline, lastSeen, idle, now },
      facts: {},
    }
    const readFacts = (): Facts => this.#facts(facts ?? this.#codec.open(meta, placeOfFacts(address)))
    return { found: { status: 'found', record: withLazyFacts(record, readFacts) }, touched: touched === 1 }
  }

  corrupt(problem: string): { readonly status: 'corrupt' } {
    this.#redis.emit('data.corrupt', { feature: 'session', problem })
    return { status: 'corrupt' }
  }

  /** Facts that cannot be read are none: then the session is nobody's. */
  #facts(opened: Opened): Facts {
    const facts = 'text' in opened ? parseObject(opened.text) : undefined
    if (facts === undefined) this.corrupt('the facts of a session cannot be read')
    return facts ?? {}
  }
}

function withLazyFacts(record: SessionRecord, read: () => Facts): SessionRecord {
  let facts: Facts | undefined
  return Object.defineProperty(record, 'facts', {
    enumerable: true,
    get() {
      facts ??= read()
      return facts
    },
  })
}
