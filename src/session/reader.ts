import type { RedisManager } from '../redis/index.js'
import type { Address } from './address.js'
import { type Codec, isUnknownKey, type Opened } from './codec.js'
import { placeOfData, placeOfFacts } from './places.js'
import { type Facts, type Found, parseObject, StoredRecord } from './record.js'
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

  read(id: string, address: Address, [, sealed, meta, rest]: FoundReply): Found {
    const numbers = rest.toString().split(' ')
    const opened = this.#codec.open(sealed, placeOfData(address, Number(numbers[0])))
    // Most requests do not ask for the facts; but who lacks a key to them must not take the user for nobody.
    const facts = this.#codec.binary ? this.#codec.open(meta, placeOfFacts(address)) : undefined
    if (isUnknownKey(opened) || (facts !== undefined && isUnknownKey(facts))) {
      return { status: 'unavailable', reason: 'unknown-key' }
    }
    const data = 'text' in opened ? parseObject(opened.text) : undefined
    // The record is kept: a mistake in the roll-out of a key must not cost the sessions.
    if (!('text' in opened) || data === undefined) return this.corrupt('the data of a session cannot be read')
    if (opened.outdated || (facts !== undefined && 'text' in facts && facts.outdated)) this.#outdated(address)
    const readFacts = (): Facts => this.#facts(facts ?? this.#codec.open(meta, placeOfFacts(address)))
    return { status: 'found', record: new StoredRecord({ id, address, json: opened.text, data }, numbers, readFacts) }
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
