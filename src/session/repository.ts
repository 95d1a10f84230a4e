import { type RedisManager, scan } from '../redis/index.js'
import { type Address, addressOf, handleOfRecord } from './address.js'
import type { Codec, Place } from './codec.js'
import { SessionUnavailableError } from './errors.js'
import type { SessionEnd } from './events.js'
import { referenceOf } from './id.js'
import { inTurn, type Turns } from './in-turn.js'
import { type Json, merge } from './merge.js'
import * as scripts from './scripts.js'

/** What is fixed when a session begins; only a new id changes it. */
export interface Facts {
  readonly userId?: string | undefined
}

export interface SessionRecord {
  readonly address: Address
  /** As stored: what later changes are compared with. */
  readonly json: string
  readonly data: Json
  readonly facts: Facts
  readonly version: number
  /** Milliseconds of Redis' clock, all of them. */
  readonly createdAt: number
  readonly deadline: number
  readonly lastSeen: number
  readonly idle: number
  readonly now: number
}

export interface Draft {
  readonly json: string
  readonly idle: number
  readonly absolute: number
  readonly facts?: Facts
  /** Overwrite a session of this id. */
  readonly replace?: boolean
}

export interface Change {
  /** What the writer read, and at which version. */
  readonly base: { readonly json: string; readonly version: number }
  readonly json: string
  readonly idle: number
}

export type Saved = { readonly status: 'saved'; readonly version: number } | { readonly status: 'gone' }

const TRIES = 20
const NEVER = -1

/** Sessions in Redis: every read and write of them, and nothing of HTTP. Fails closed with the manager's errors. */
export class SessionRepository {
  readonly #redis: RedisManager
  readonly #codec: Codec
  readonly #turns: Turns = new Map()

  constructor(redis: RedisManager, codec: Codec) {
    this.#redis = redis
    this.#codec = codec
  }

  /** One round trip, which also restarts the idle time where it last did so `touchAfter` ms ago. */
  async load(id: string, touchAfter: number = NEVER): Promise<SessionRecord | undefined> {
    const address = addressOf(this.#redis.keys, id)
    const reply = await this.#redis.execute('session.read', (client) =>
      scripts.read.run(client, [address.record, address.generation, address.index], [address.hash, touchAfter]),
    )
    const status = reply[0].toString()
    if (status === 'foreign') this.#corrupt('the key of a session holds something else')
    if (status !== 'found') return undefined
    const [, version, data, meta, created, deadline, idle, seen, now] = reply as Exclude<
      scripts.ReadReply,
      { readonly length: 1 | 2 }
    >
    const at = Number(version)
    const json = this.#open(data, place(address, 'data', at))
    const facts = this.#open(meta, place(address, 'meta', 0))
    const parsed = json === undefined ? undefined : parseObject(json)
    const known = facts === undefined ? undefined : parseObject(facts)
    if (json === undefined || parsed === undefined || known === undefined) {
      // The record is kept: a mistake in the roll-out of a key must not cost the sessions.
      this.#corrupt('the data of a session cannot be read')
      return undefined
    }
    return {
      address,
      json,
      data: parsed,
      facts: known,
      version: at,
      createdAt: Number(created),
      deadline: Number(deadline),
      lastSeen: Number(seen),
      idle: Number(idle),
      now: Number(now),
    }
  }

  /** False where a session of this id is there already. */
  async create(id: string, { json, idle, absolute, facts = {}, replace = false }: Draft): Promise<boolean> {
    const address = addressOf(this.#redis.keys, id)
    const data = this.#codec.seal(json, place(address, 'data', 1))
    const meta = this.#codec.seal(JSON.stringify(facts), place(address, 'meta', 0))
    const listed = facts.userId === undefined ? 0 : 1
    const [status] = await this.#redis.execute('session.create', (client) =>
      scripts.create.run(
        client,
        [address.record, address.generation, address.index],
        [address.hash, data, meta, idle, absolute, listed, replace ? 1 : 0],
      ),
    )
    if (status !== 'created') return false
    this.#redis.emit('session.created', { session: referenceOf(address.hash), userId: facts.userId })
    return true
  }

  /** Writes what changed since `base`, keeping what others changed meanwhile. Never brings a dead session back. */
  save(id: string, change: Change): Promise<Saved> {
    const address = addressOf(this.#redis.keys, id)
    return inTurn(this.#turns, address.hash, () => this.#save(address, change))
  }

  async #save(address: Address, { base, json, idle }: Change): Promise<Saved> {
    const session = referenceOf(address.hash)
    let next = json
    let { version } = base
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const data = this.#codec.seal(next, place(address, 'data', version + 1))
      const reply = await this.#redis.execute('session.update', (client) =>
        scripts.update.run(
          client,
          [address.record, address.generation, address.index],
          [address.hash, version, data, idle],
        ),
      )
      const status = reply[0].toString()
      // After a merge the writer does not know what it wrote: its next write has to merge again.
      if (status === 'saved') return { status, version: next === json ? version + 1 : NEVER }
      const [, theirVersion, theirData] = reply
      if (status !== 'conflict' || theirVersion === undefined || theirData === undefined) {
        this.#redis.emit('session.dropped', { session, reason: 'gone' })
        return { status: 'gone' }
      }
      version = Number(theirVersion)
      const theirs = this.#open(theirData, place(address, 'data', version))
      const their = theirs === undefined ? undefined : parseObject(theirs)
      if (their === undefined) {
        this.#corrupt('the data of a session cannot be read')
        return { status: 'gone' }
      }
      const merged = merge(parseObject(base.json) ?? {}, parseObject(json) ?? {}, their)
      const keys = merged.conflicts.filter((key) => key !== 'cookie')
      if (keys.length > 0) this.#redis.emit('session.conflict', { session, keys })
      next = JSON.stringify(merged.data)
    }
    this.#redis.emit('session.dropped', { session, reason: 'conflict' })
    throw new SessionUnavailableError('too many parallel writes')
  }

  async touch(id: string, idle: number): Promise<boolean> {
    const { record, index, hash } = addressOf(this.#redis.keys, id)
    const found = await this.#redis.execute('session.touch', (client) =>
      scripts.touch.run(client, [record, index], [hash, idle]),
    )
    return found === 1
  }

  async remove(id: string, reason: SessionEnd): Promise<boolean> {
    const { record, index, hash } = addressOf(this.#redis.keys, id)
    const [removed] = await this.#redis.execute('session.remove', (client) =>
      scripts.remove.run(client, [record, index], [hash]),
    )
    if (removed.toString() !== '1') return false
    this.#redis.emit('session.destroyed', { session: referenceOf(hash), reason })
    return true
  }

  /** Handles of every session, live ones and those about to expire; for administration. */
  async *handles(): AsyncGenerator<string[], void, undefined> {
    for await (const keys of scan(this.#redis, this.#redis.keys.pattern('session'))) {
      const handles = keys.flatMap((key) => handleOfRecord(this.#redis.keys, key) ?? [])
      if (handles.length > 0) yield handles
    }
  }

  #open(bytes: Buffer, at: Place): string | undefined {
    const opened = this.#codec.open(bytes, at)
    if ('text' in opened) return opened.text
    if (opened.problem === 'unknown key') throw new SessionUnavailableError('its encryption key is not known here')
    return undefined
  }

  #corrupt(problem: string): void {
    this.#redis.emit('data.corrupt', { feature: 'session', problem })
  }
}

function place({ record, hash }: Address, kind: string, version: number): Place {
  return { record, hash, kind, version }
}

function parseObject(json: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined
  } catch {
    return undefined
  }
}
