import { type RedisManager, scan } from '../redis/index.js'
import { type Address, addressIn, addressOf, handleOfRecord } from './address.js'
import { type Codec, isUnknownKey, type Opened } from './codec.js'
import { openWith, sealFor } from './envelope.js'
import { SessionUnavailableError, TooManySessionsError } from './errors.js'
import type { SessionEnd } from './events.js'
import { referenceOf } from './id.js'
import { inTurn, type Turns } from './in-turn.js'
import { merge } from './merge.js'
import { Outbox } from './outbox.js'
import { placeOfData, placeOfFacts } from './places.js'
import { RecordReader } from './reader.js'
import { SessionReads } from './reads.js'
import {
  type Change,
  type Draft,
  type Facts,
  type Found,
  parseObject,
  type Saved,
  type SessionRecord,
} from './record.js'
import { rekey } from './rekey.js'
import * as scripts from './scripts.js'
import type { Statistics } from './statistics.js'

export interface RepositorySettings {
  readonly redis: RedisManager
  readonly codec: Codec
  readonly statistics: Statistics
  readonly absolute: number
  readonly maxPerUser: number
  readonly onExcess: 'oldest' | 'idle' | 'reject'
  /** How long nothing may take a removed session's place, in ms. */
  readonly linger: number
}

const TRIES = 20
const NEVER = -1

/** Sessions in Redis: every read and write of one, and nothing of HTTP. Fails closed. */
export class SessionRepository {
  readonly outbox: Outbox
  readonly #settings: RepositorySettings
  readonly #redis: RedisManager
  readonly #reader: RecordReader
  readonly #reads: SessionReads
  readonly #turns: Turns = new Map()

  constructor(settings: RepositorySettings) {
    this.#settings = settings
    this.#redis = settings.redis
    this.#reader = new RecordReader(settings.redis, settings.codec, (address) => void this.rekey(address))
    this.outbox = new Outbox(settings.redis, (id, change) => this.#write(id, change, 'theirs'))
    const { redis, codec, statistics } = settings
    const { outbox } = this
    this.#reads = new SessionReads({ redis, statistics, outbox, reader: this.#reader, binary: codec.binary })
  }

  addressOf(id: string): Address {
    return addressOf(this.#redis.keys, id)
  }

  /** One round trip, which also restarts the idle time where it last did so `touchAfter` ms ago. */
  find(id: string, touchAfter?: number): Promise<Found> {
    return this.#reads.find(id, touchAfter)
  }

  /** Makes up for a read that did not restart the idle time. Nobody waits for it. */
  keepAlive(record: SessionRecord, touchAfter: number): void {
    this.#reads.keepAlive(record, touchAfter)
  }

  /** False where a session of this id is there already. */
  create(id: string, draft: Draft): Promise<boolean> {
    if (this.#settings.maxPerUser === 0 || draft.facts?.userId === undefined) return this.#create(id, draft)
    return inTurn(this.#turns, this.addressOf(id).tag, () => this.#create(id, draft))
  }

  async #create(id: string, draft: Draft): Promise<boolean> {
    const { json, idle, absolute, facts = {}, replace = false, refreshTokenHash = '' } = draft
    const { maxPerUser, onExcess, codec, statistics } = this.#settings
    const address = this.addressOf(id)
    const data = codec.seal(json, placeOfData(address, 1))
    const meta = codec.seal(JSON.stringify(facts), placeOfFacts(address))
    const fixed = [
      ...[address.hash, data, meta, idle, absolute, facts.userId === undefined ? 0 : 1, replace ? 1 : 0],
      ...[maxPerUser, onExcess, refreshTokenHash],
    ]
    let candidates: string[] = []
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const records = candidates.map((hash) => addressIn(this.#redis.keys, address.tag, hash).record)
      const [status, ...hashes] = await this.#redis.execute('session.create', (client) =>
        scripts.create.run(
          client,
          [address.record, address.generation, address.index, ...records],
          [...fixed, ...candidates],
        ),
      )
      if (status === 'exists') return false
      if (status === 'excess') throw new TooManySessionsError(maxPerUser)
      if (status === 'created') {
        for (const hash of hashes) this.ended(hash, 'excess', facts.userId)
        statistics.created(address, facts.userId, idle)
        this.#redis.emit('session.created', { session: referenceOf(address.hash), userId: facts.userId })
        return true
      }
      candidates = hashes
    }
    throw new SessionUnavailableError('conflict', 'too many parallel log-ins of one user')
  }

  /** Writes what changed since `base`, keeping what others changed meanwhile. Never brings a dead session back. */
  save(id: string, change: Change): Promise<Saved> {
    const address = this.addressOf(id)
    return inTurn(this.#turns, address.hash, async () => {
      if (this.outbox.ended(address)) return { status: 'gone' }
      const saved = await this.#write(id, change, 'mine')
      if (saved !== undefined) return saved
      this.outbox.keep(address, id, change)
      throw new SessionUnavailableError('save', 'it could not be stored, and will be where nothing speaks against it')
    })
  }

  /** Undefined where Redis did not answer: it may or may not have been written. */
  async #write(id: string, change: Change, winner: 'mine' | 'theirs'): Promise<Saved | undefined> {
    const address = this.addressOf(id)
    const { base, json, idle } = change
    const session = referenceOf(address.hash)
    let next = json
    let { version } = base
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const data = this.#settings.codec.seal(next, placeOfData(address, version + 1))
      const reply = await this.#redis.attempt<scripts.WriteReply | undefined>(
        'session.update',
        (client) =>
          scripts.update.run(
            client,
            [address.record, address.generation, address.index],
            [address.hash, version, data, idle],
          ),
        () => undefined,
      )
      if (reply === undefined) return undefined
      const status = reply[0].toString()
      if (status === 'saved') return { status, version: next === json ? version + 1 : NEVER }
      const [, theirVersion, theirData] = reply
      const successor =
        status === 'alias' && theirVersion !== undefined ? openWith(id, theirVersion.toString()) : undefined
      // Its id was renewed while this request ran.
      if (successor !== undefined) return this.#write(successor, change, winner)
      if (status !== 'conflict' || theirVersion === undefined || theirData === undefined) {
        this.#redis.emit('session.dropped', { session, reason: 'gone' })
        return { status: 'gone' }
      }
      version = Number(theirVersion)
      const opened = this.#open(theirData, address, version)
      const theirs = 'text' in opened ? parseObject(opened.text) : undefined
      if (theirs === undefined) {
        this.#reader.corrupt('the data of a session cannot be read')
        return { status: 'gone' }
      }
      const merged = merge(parseObject(base.json) ?? {}, parseObject(json) ?? {}, theirs, winner)
      const keys = merged.conflicts.filter((key) => key !== 'cookie')
      if (keys.length > 0) this.#redis.emit('session.conflict', { session, keys })
      next = JSON.stringify(merged.data)
    }
    this.#redis.emit('session.dropped', { session, reason: 'conflict' })
    throw new SessionUnavailableError('conflict', 'too many parallel writes')
  }

  /** Sets the idle time. Gives the expiry in Unix ms, or undefined for a dead session. */
  async touch(id: string, idle: number): Promise<number | undefined> {
    const { record, generation, index, hash } = this.addressOf(id)
    const expiresAt = await this.#redis.execute('session.touch', (client) =>
      scripts.touch.run(client, [record, generation, index], [hash, idle]),
    )
    return expiresAt === 0 ? undefined : expiresAt
  }

  /**
   * Ends a session. While Redis is away the end is kept and told first on its return. Not so where `orLater` is false:
   * a session whose successor could not be stored either has to stay.
   */
  async remove(id: string, reason: SessionEnd, orLater = true): Promise<boolean> {
    const address = this.addressOf(id)
    const removed = await this.#remove(id, address, reason)
    if (removed !== undefined) return removed
    if (!orLater) throw new SessionUnavailableError('destroy', 'it could not be replaced')
    this.outbox.end(address.hash, this.#settings.absolute, async () => {
      return (await this.#remove(id, address, reason)) !== undefined
    })
    return true
  }

  async #remove(id: string, address: Address, reason: SessionEnd): Promise<boolean | undefined> {
    const reply = await this.#redis.attempt<readonly [Buffer, Buffer, Buffer] | undefined>(
      'session.remove',
      (client) => scripts.remove.run(client, [address.record, address.index], [address.hash, this.#settings.linger]),
      () => undefined,
    )
    if (reply === undefined) return undefined
    const [removed, meta, sealed] = reply
    const successor = sealed.length === 0 ? undefined : openWith(id, sealed.toString())
    if (successor !== undefined) return this.remove(successor, reason)
    if (removed.toString() !== '1') return false
    const facts = this.#settings.codec.open(meta, placeOfFacts(address))
    this.ended(address.hash, reason, 'text' in facts ? (parseObject(facts.text) as Facts)?.userId : undefined)
    return true
  }

  /** Counts and reports the end of a session. */
  ended(hash: string, reason: SessionEnd, userId: string | undefined): void {
    this.#settings.statistics.ended(hash, reason)
    this.#redis.emit('session.destroyed', { session: referenceOf(hash), reason, userId })
  }

  /** Gives the session a new id; the old one leads to it for `grace` ms. Undefined where it is dead. */
  async rotate(record: SessionRecord, newId: string, facts: Facts, grace: number): Promise<SessionRecord | undefined> {
    const { codec } = this.#settings
    const from = record.address
    const to = this.addressOf(newId)
    facts = { ...facts, family: facts.family ?? from.hash }
    const meta = codec.seal(JSON.stringify(facts), placeOfFacts(to))
    const successor = sealFor(record.id, newId)
    let { json, version } = record
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const data = codec.seal(json, placeOfData(to, version))
      const reply = await this.#redis.execute('session.rotate', (client) =>
        scripts.rotate.run(
          client,
          [from.record, to.record, from.generation, from.index],
          [from.hash, to.hash, version, data, meta, successor, grace],
        ),
      )
      if (reply[0].toString() === 'saved') {
        this.#settings.statistics.renewed(from.hash, to, record.idle)
        this.#redis.emit('session.renewed', { session: referenceOf(to.hash), userId: facts.userId })
        return { ...record, id: newId, address: to, facts, json, data: parseObject(json) ?? {}, version }
      }
      const [, theirVersion, theirData] = reply
      if (theirVersion === undefined || theirData === undefined) return undefined
      version = Number(theirVersion)
      const opened = this.#open(theirData, from, version)
      if (!('text' in opened)) return undefined
      json = opened.text
    }
    throw new SessionUnavailableError('conflict', 'too many parallel writes')
  }

  /** Handles of every session; for administration. */
  async *handles(): AsyncGenerator<string[], void, undefined> {
    for await (const keys of scan(this.#redis, this.#redis.keys.pattern('session'))) {
      const handles = keys.flatMap((key) => handleOfRecord(this.#redis.keys, key) ?? [])
      if (handles.length > 0) yield handles
    }
  }

  #open(sealed: Buffer, address: Address, version: number): Opened {
    const opened = this.#settings.codec.open(sealed, placeOfData(address, version))
    if (isUnknownKey(opened)) {
      throw new SessionUnavailableError('unknown-key', 'its encryption key is not known here')
    }
    return opened
  }

  /** Seals a session with the newest key. True where anything was to be done and has been. */
  rekey(address: Address): Promise<boolean> {
    return rekey(this.#redis, this.#settings.codec, address)
  }
}
