import type { RedisManager } from '../redis/index.js'
import type { ScriptArgument } from '../redis/script.js'
import type { Codec } from './codec.js'
import { SessionEndedError } from './errors.js'
import { placeOfField } from './places.js'
import type { SessionRepository } from './repository.js'
import { field } from './user-scripts.js'

/** Values beside the data of a session, changed in one step: no parallel request sees or spends one twice. */
export class SessionFields {
  readonly #redis: RedisManager
  readonly #codec: Codec
  readonly #repository: SessionRepository

  constructor(redis: RedisManager, codec: Codec, repository: SessionRepository) {
    this.#redis = redis
    this.#codec = codec
    this.#repository = repository
  }

  /** Gives the value to the first who asks, and removes it. */
  async take(id: string, name: string): Promise<unknown> {
    const sealed = await this.#run(id, 'take', `f:${name}`, '')
    if (!Buffer.isBuffer(sealed) || sealed.length === 0) return undefined
    const opened = this.#codec.open(sealed, placeOfField(this.#repository.addressOf(id), `f:${name}`))
    if ('problem' in opened) {
      this.#redis.emit('data.corrupt', { feature: 'session', problem: 'a field of a session cannot be read' })
      return undefined
    }
    return JSON.parse(opened.text) as unknown
  }

  /** True where nothing was set before. */
  async setOnce(id: string, name: string, value: unknown): Promise<boolean> {
    const at = placeOfField(this.#repository.addressOf(id), `f:${name}`)
    return (await this.#run(id, 'setOnce', `f:${name}`, this.#codec.seal(JSON.stringify(value), at))) === 1
  }

  /** The sum. Counters are not sealed. */
  async increment(id: string, name: string, by: number): Promise<number> {
    const sum = await this.#run(id, 'increment', `n:${name}`, by)
    if (typeof sum !== 'number') throw new SessionEndedError()
    return sum
  }

  async #run(id: string, what: string, name: string, value: ScriptArgument): Promise<Buffer | number | undefined> {
    const { record, generation } = this.#repository.addressOf(id)
    const [status, answer] = await this.#redis.execute('session.field', (client) =>
      field.run(client, [record, generation], [what, name, value]),
    )
    return status.toString() === 'done' ? answer : undefined
  }
}
