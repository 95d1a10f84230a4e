import type { FallbackReason, RedisClient, RedisManager } from '../redis/index.js'
import { Memo } from '../shared/memo.js'
import { type Address, addressOf } from './address.js'
import { openWith } from './envelope.js'
import { referenceOf } from './id.js'
import type { Outbox } from './outbox.js'
import type { RecordReader } from './reader.js'
import type { Found, SessionRecord } from './record.js'
import * as scripts from './scripts.js'
import type { Statistics } from './statistics.js'

export interface ReadsSettings {
  readonly redis: RedisManager
  readonly statistics: Statistics
  readonly outbox: Outbox
  readonly reader: RecordReader
  /** Whether sessions are stored as bytes and not as text. */
  readonly binary: boolean
}

const NEVER = -1

/** Asks Redis for sessions, by the id of now or of before their renewal. */
export class SessionReads {
  readonly #settings: ReadsSettings
  readonly #addresses = new Memo<Address>(2000, 128)

  constructor(settings: ReadsSettings) {
    this.#settings = settings
  }

  find(id: string, touchAfter: number = NEVER): Promise<Found> {
    const { outbox } = this.#settings
    const address = this.#addressOf(id)
    if (outbox.ended(address)) return Promise.resolve({ status: 'revoked' })
    if (outbox.waiting === 0) return this.#find(id, address, touchAfter)
    return outbox.flush(address.hash).then(() => this.#find(id, address, touchAfter))
  }

  #addressOf(id: string): Address {
    let address = this.#addresses.get(id)
    if (address === undefined) {
      address = addressOf(this.#settings.redis.keys, id)
      this.#addresses.set(id, address)
    }
    return address
  }

  #find(id: string, address: Address, touchAfter: number): Promise<Found> {
    const { redis, reader } = this.#settings
    return redis
      .attempt<scripts.ReadReply | FallbackReason>(
        'session.read',
        (client) => this.#read(client, address, touchAfter),
        (reason) => reason,
      )
      .then((reply) => {
        if (typeof reply === 'string') return { status: 'unavailable', reason: reply }
        const status = reply[0].toString()
        if (status === 'found') return this.#found(id, address, reply as scripts.FoundReply)
        if (status === 'foreign') return reader.corrupt('the key of a session holds something else')
        if (status !== 'alias') return { status: status as 'missing' | 'revoked' | 'expired' }
        const successor = reply[1] === undefined ? undefined : openWith(id, reply[1].toString())
        return successor === undefined ? { status: 'missing' } : this.find(successor, touchAfter)
      })
  }

  #found(id: string, address: Address, reply: scripts.FoundReply): Found {
    const found = this.#settings.reader.read(id, address, reply)
    if (found.status === 'found' && found.record.touched) this.#touched(found.record)
    return found
  }

  keepAlive(record: SessionRecord, touchAfter: number): void {
    const { address, now, lastSeen } = record
    if (touchAfter < 0 || now - lastSeen < touchAfter) return
    this.#touched(record)
    void this.#settings.redis.attempt<unknown>(
      'session.touch',
      (client) => this.#read(client, address, touchAfter),
      () => undefined,
    )
  }

  #read(client: RedisClient, { record, generation, index, hash }: Address, after: number): Promise<scripts.ReadReply> {
    const script = this.#settings.binary ? scripts.read : scripts.readText
    return script.run(client, [record, generation, index], [hash, after])
  }

  #touched({ address: { hash }, now, idle }: SessionRecord): void {
    const { redis, statistics } = this.#settings
    statistics.seen(hash, now + idle)
    if (redis.listens('session.touched')) redis.emit('session.touched', { session: referenceOf(hash) })
  }
}
