import { batch, type RedisManager } from '../redis/index.js'
import { type Address, addressIn, addressOf } from './address.js'
import type { Codec } from './codec.js'
import { handleOf, parseHandle, tagOfUser } from './id.js'
import { placeOfFacts } from './places.js'
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

/** A live session of the index. Times in ms. */
interface Member {
  readonly hash: string
  readonly facts: Facts
  readonly begun: number
  readonly seen: number
  readonly ttl: number
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
    const tag = this.tagOf(userId)
    const currentHash = current === undefined ? undefined : addressOf(this.#redis.keys, current).hash
    const members = await this.#members(tag)
    return members
      .map(({ hash, facts, begun, seen, ttl }) => ({
        handle: handleOf(tag, facts.family ?? hash),
        device: facts.device ?? 'Unknown device',
        address: facts.address,
        createdAt: new Date(begun),
        lastSeen: new Date(seen),
        expiresAt: new Date(Date.now() + Math.max(ttl, 0)),
        current: hash === currentHash,
      }))
      .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
  }

  /** The handle under which a session lives now that has been given new ids since. */
  async current(handle: string): Promise<string | undefined> {
    const parsed = parseHandle(handle)
    if (parsed === undefined) return undefined
    const member = (await this.#members(parsed.tag)).find(({ facts }) => facts.family === parsed.hash)
    return member === undefined ? undefined : handleOf(parsed.tag, member.hash)
  }

  /** False where it is no session of this user, or none any more. */
  async revoke(userId: string, handleOrId: string): Promise<boolean> {
    const { tag, hash } = parseHandle(handleOrId) ?? addressOf(this.#redis.keys, handleOrId)
    if (tag !== this.tagOf(userId)) return false
    const handle = handleOf(tag, hash)
    if (await this.#repository.remove(handle, 'revoked')) return true
    const current = await this.current(handle)
    return current !== undefined && this.#repository.remove(current, 'revoked')
  }

  async #members(tag: string): Promise<Member[]> {
    const { keys } = this.#redis
    const here = addressIn(keys, tag, '')
    return this.#redis.execute('session.list', async (client) => {
      const [[, hashes = []] = [], [, generation] = []] = (await batch(client, [
        ['zrange', here.index, 0, -1],
        ['get', here.generation],
      ])) as unknown as readonly [[unknown, string[]?]?, [unknown, string?]?]
      const replies = await batch(
        client,
        hashes.flatMap((hash) => {
          const { record } = addressIn(keys, tag, hash)
          return [['hmgetBuffer', record, 'm', 'g', 'c', 'l'] as const, ['pttl', record] as const]
        }),
      )
      const members: Member[] = []
      const gone: string[] = []
      for (const [i, hash] of hashes.entries()) {
        const [meta, made, begun, seen] = (replies[2 * i]?.[1] ?? []) as (Buffer | null)[]
        const ttl = Number(replies[2 * i + 1]?.[1])
        const facts = meta === undefined || meta === null ? undefined : this.factsOf(meta, addressIn(keys, tag, hash))
        if (facts !== undefined && Number(made) >= Number(generation ?? 0)) {
          members.push({ hash, facts, begun: Number(begun), seen: Number(seen), ttl })
        } else if (ttl === -2) gone.push(hash)
      }
      if (gone.length > 0) await client.zrem(here.index, ...gone)
      return members
    })
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

  factsOf(meta: Buffer, address: Address): Facts | undefined {
    const opened = this.#codec.open(meta, placeOfFacts(address))
    return 'text' in opened ? parseObject(opened.text) : undefined
  }
}
