import { batch, type RedisManager } from '../redis/index.js'
import { type Address, addressIn, addressOf } from './address.js'
import type { Codec } from './codec.js'
import { handleOf, parseHandle, tagOfUser } from './id.js'
import { type Facts, parseObject } from './record.js'
import type { SessionRepository } from './repository.js'
import { revokeAll } from './user-scripts.js'

/** A session as its user sees it in a list of devices. */
export interface ListedSession {
  /** Names the session for `revoke`; opens nothing. */
  readonly handle: string
  /** Such as `Firefox on Windows`. */
  readonly device: string
  readonly address: string | undefined
  readonly createdAt: Date
  readonly lastSeen: Date
  readonly expiresAt: Date
  /** Whether it is the session whose id was given. */
  readonly current: boolean
}

const DAY = 86_400_000

/** The sessions of one user: one slot, one index, one generation. */
export class UserSessions {
  readonly #redis: RedisManager
  readonly #codec: Codec
  readonly #repository: SessionRepository
  readonly #absolute: number
  readonly #tagKey: string | undefined

  constructor(
    redis: RedisManager,
    codec: Codec,
    repository: SessionRepository,
    { absolute, tagKey }: { absolute: number; tagKey: string | undefined },
  ) {
    this.#redis = redis
    this.#codec = codec
    this.#repository = repository
    this.#absolute = absolute
    this.#tagKey = tagKey
  }

  tagOf(userId: string): string {
    return tagOfUser(userId, this.#tagKey)
  }

  /** Newest first. */
  async list(userId: string, current?: string): Promise<ListedSession[]> {
    const { keys } = this.#redis
    const tag = this.tagOf(userId)
    const here = addressIn(keys, tag, '')
    const currentHash = current === undefined ? undefined : addressOf(keys, current).hash
    return this.#redis.execute('session.list', async (client) => {
      const [[, hashes = []] = [], [, generation] = []] = (await batch(client, [
        ['zrange', here.index, 0, -1],
        ['get', here.generation],
      ])) as unknown as readonly [[unknown, string[]?]?, [unknown, string?]?]
      const addresses = hashes.map((hash) => addressIn(keys, tag, hash))
      const replies = await batch(
        client,
        addresses.flatMap(({ record }) => [
          ['hmgetBuffer', record, 'm', 'g', 'c', 'l', 'x'] as const,
          ['pttl', record] as const,
        ]),
      )
      const listed: ListedSession[] = []
      const gone: string[] = []
      for (const [i, address] of addresses.entries()) {
        const [meta, made, begun, seen] = (replies[2 * i]?.[1] ?? []) as (Buffer | null)[]
        const ttl = Number(replies[2 * i + 1]?.[1])
        const facts = meta === undefined || meta === null ? undefined : this.factsOf(meta, address)
        if (facts === undefined || Number(made) < Number(generation ?? 0)) {
          if (ttl === -2) gone.push(address.hash)
          continue
        }
        listed.push({
          handle: handleOf(tag, address.hash),
          device: facts.device ?? 'Unknown device',
          address: facts.address,
          createdAt: new Date(Number(begun)),
          lastSeen: new Date(Number(seen)),
          expiresAt: new Date(Date.now() + Math.max(ttl, 0)),
          current: address.hash === currentHash,
        })
      }
      if (gone.length > 0) await client.zrem(here.index, ...gone)
      return listed.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
    })
  }

  /** False where it is no session of this user, or none any more. */
  async revoke(userId: string, handleOrId: string): Promise<boolean> {
    const { tag, hash } = parseHandle(handleOrId) ?? addressOf(this.#redis.keys, handleOrId)
    if (tag !== this.tagOf(userId)) return false
    return this.#repository.remove(handleOf(tag, hash), 'revoked')
  }

  /** How many of the listed sessions ended. While Redis is away it is done here, and told Redis first on its return. */
  async revokeAll(userId: string, except?: string): Promise<number> {
    const revoked = await this.#revokeAll(userId, except)
    if (revoked !== undefined) return revoked
    const tag = this.tagOf(userId)
    this.#repository.outbox.end(tag, this.#absolute, async () => (await this.#revokeAll(userId, except)) !== undefined)
    return 0
  }

  async #revokeAll(userId: string, except?: string): Promise<number | undefined> {
    const tag = this.tagOf(userId)
    const here = addressIn(this.#redis.keys, tag, '')
    const kept = except === undefined ? undefined : addressOf(this.#redis.keys, except)
    // Another user's session is not for this user to keep.
    const keep = kept?.tag === tag ? kept : undefined
    const life = this.#absolute + DAY
    const hashes = await this.#redis.attempt<string[] | undefined>(
      'session.revoke-all',
      (client) =>
        revokeAll.run(
          client,
          [here.generation, here.index, ...(keep === undefined ? [] : [keep.record])],
          [life, keep?.hash ?? ''],
        ),
      () => undefined,
    )
    if (hashes === undefined) return undefined
    for (const hash of hashes) this.#repository.ended(hash, 'revoked', userId)
    // They are dead already: this only frees the memory before their time.
    const records = hashes.map((hash) => addressIn(this.#redis.keys, tag, hash).record)
    if (records.length > 0) {
      void this.#redis.attempt(
        'session.unlink',
        (client) =>
          batch(
            client,
            records.map((record) => ['unlink', record] as const),
          ),
        () => [],
      )
    }
    return hashes.length
  }

  factsOf(meta: Buffer, { record, hash }: Address): Facts | undefined {
    const opened = this.#codec.open(meta, { record, hash, kind: 'meta', version: 0 })
    return 'text' in opened ? parseObject(opened.text) : undefined
  }
}
