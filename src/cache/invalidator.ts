import { type RedisClient, scan } from '../redis/index.js'
import { tagName } from './keyspace.js'
import { removeScript, unlinkScript } from './scripts.js'
import { forget, newsOf, type StoreContext } from './store-context.js'
import { replaceVersions } from './version-scripts.js'

interface Work {
  /** The same for the same work only: of two that wait under one name, one is done. */
  readonly name: string
  readonly run: () => Promise<boolean>
}

/** Ends what is stored, and every computation that began before. What cannot be done now is done on Redis' return. */
export class Invalidator {
  readonly #context: StoreContext<unknown>

  constructor(context: StoreContext<unknown>) {
    this.#context = context
  }

  keys(keys: readonly string[]): Promise<boolean> {
    const { entry } = this.#context.keys
    return this.#do(keys.map((key) => ({ name: `key ${entry(key)}`, run: () => this.#remove(key) })))
  }

  tags(tags: readonly string[]): Promise<boolean> {
    const names = [...new Set(tags.map(tagName))]
    if (names.length === 0) return Promise.resolve(true)
    return this.#do([{ name: `tags ${names.map(this.#context.keys.version)}`, run: () => this.replace(names) }])
  }

  everything(): Promise<boolean> {
    const { generations, version } = this.#context.keys
    const generation = generations.at(-1) as string
    return this.#do([{ name: `clear ${version(generation)}`, run: () => this.replace([generation]) }])
  }

  pattern(pattern: string): Promise<boolean> {
    return this.#do([
      { name: `pattern ${this.#context.keys.entry(pattern)}`, run: () => this.#unlinkMatching(pattern) },
    ])
  }

  /** New versions under these names. */
  replace(names: readonly string[]): Promise<boolean> {
    const { options, keys } = this.#context
    const versionKeys = names.map(keys.version)
    return options.redis.attempt(
      `${options.feature}.invalidate`,
      async (client) => {
        await replaceVersions(client, [keys.epoch, ...versionKeys], newsOf(this.#context))
        for (const key of versionKeys) options.local?.tier.changed(key)
        return true
      },
      () => false,
    )
  }

  async #remove(key: string): Promise<boolean> {
    const { options, keys } = this.#context
    const done = await options.redis.attempt(
      `${options.feature}.delete`,
      async (client) => {
        await removeScript.run(client, [keys.entry(key), keys.lease(key)], newsOf(this.#context))
        return true
      },
      () => false,
    )
    forget(this.#context, key)
    return done
  }

  // A computation that ran when the first pass began has lost its lease in it, or had stored its result before the
  // second began: SCAN returns what is there from its beginning to its end.
  async #unlinkMatching(pattern: string): Promise<boolean> {
    const { options, keys } = this.#context
    const { redis, feature, local } = options
    const { entries, leases } = keys.matching(pattern)
    const [channel, always] = newsOf(this.#context)
    try {
      for (const match of [...leases, ...entries]) {
        for await (const found of scan(redis, match)) {
          const unlink = (client: RedisClient): Promise<unknown> =>
            Promise.all(
              found.map((key) => (always === '1' ? unlinkScript.run(client, [key], [channel]) : client.unlink(key))),
            )
          await redis.execute(`${feature}.unlink`, unlink, { deadline: 1000 })
          for (const key of found) local?.tier.changed(key)
        }
      }
      return true
    } catch {
      return false
    }
  }

  async #do(works: readonly Work[]): Promise<boolean> {
    const { options, shared } = this.#context
    shared.epoch++
    const done = await Promise.all(works.map(({ run }) => run()))
    for (const [index, { name, run }] of works.entries()) if (done[index] !== true) shared.pending.add(name, run)
    shared.epoch++
    if (done.every(Boolean)) return true
    options.redis.warn(
      'HOLDFAST_INVALIDATION_PENDING',
      'an invalidation could not reach Redis; it is done when Redis returns, other processes may serve stale entries until then',
    )
    return false
  }
}
