import type { RedisManager } from '../redis/index.js'
import type { Unsubscribe } from '../shared/emitter.js'
import type { Address } from './address.js'
import { isSessionUnavailable, SessionUnavailableError } from './errors.js'
import { referenceOf } from './id.js'
import { PendingWrites } from './pending.js'
import type { Change, Saved } from './record.js'
import { Tombstones } from './tombstones.js'

const AT_ONCE = 50

/** What Redis has to hear when it returns: first which sessions ended, then what was written to the others. */
export class Outbox {
  readonly #redis: RedisManager
  readonly #write: (id: string, change: Change) => Promise<Saved | undefined>
  readonly #tombstones = new Tombstones()
  readonly #pending: PendingWrites
  readonly #offs: readonly Unsubscribe[]
  #replaying: Promise<void> | undefined

  constructor(redis: RedisManager, write: (id: string, change: Change) => Promise<Saved | undefined>) {
    this.#redis = redis
    this.#write = write
    this.#pending = new PendingWrites((session, reason) => redis.emit('session.dropped', { session, reason }))
    const replay = (): void => void this.replay()
    this.#offs = [redis.on('up', replay), redis.on('recovered', replay)]
  }

  /** Writes that wait. */
  get waiting(): number {
    return this.#pending.size
  }

  /** Whether this process knows the end of a session that Redis may not know yet. */
  ended({ hash, tag }: Pick<Address, 'hash' | 'tag'>): boolean {
    return this.#tombstones.size > 0 && (this.#tombstones.has(hash) || this.#tombstones.has(tag))
  }

  /** `name`: the hash of a session, or the tag of a user. `apply` gives false where Redis did not take it. */
  end(name: string, lasting: number, apply: () => Promise<boolean>): void {
    this.#pending.forget(name)
    this.#redis.emit('session.unavailable', { operation: 'destroy', reason: 'kept until Redis returns' })
    if (this.#tombstones.add({ name, expiresAt: Date.now() + lasting, apply })) return
    throw new SessionUnavailableError('destroy', 'too many sessions were ended during the outage')
  }

  keep({ hash }: Address, id: string, change: Change): void {
    this.#pending.add(hash, id, referenceOf(hash), change)
  }

  /** Makes a waiting write of this session before the session is read: a process sees its own writes. */
  async flush(hash: string): Promise<void> {
    const write = this.#pending.take(hash)
    if (write === undefined) return
    try {
      if ((await this.#write(write.id, write)) === undefined) this.#pending.putBack(hash, write)
    } catch (error) {
      if (!isSessionUnavailable(error)) throw error
      // Too many conflicts have been told where they were met.
      const { reason } = error as SessionUnavailableError
      if (reason === 'unknown-key') this.#redis.emit('session.dropped', { session: write.session, reason })
    }
  }

  replay(): Promise<void> {
    this.#replaying ??= this.#replay().finally(() => {
      this.#replaying = undefined
    })
    return this.#replaying
  }

  async #replay(): Promise<void> {
    if (!(await this.#tombstones.replay())) return
    for (let hashes = this.#pending.hashes(); hashes.length > 0; hashes = hashes.slice(AT_ONCE)) {
      if (!this.#redis.available) return
      await Promise.all(hashes.slice(0, AT_ONCE).map((hash) => this.flush(hash)))
    }
  }

  close(): void {
    for (const off of this.#offs) off()
  }
}
