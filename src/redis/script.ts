import { createHash } from 'node:crypto'
import { isError } from '../shared/errors.js'
import type { RedisClient } from './client.js'

export type ScriptArgument = string | number | Buffer

/** A Lua script with a name for messages and metrics. `run` sends EVALSHA, and EVAL only after NOSCRIPT. */
export interface Script<Reply> {
  readonly name: string
  run(client: RedisClient, keys: readonly string[], args: readonly ScriptArgument[]): Promise<Reply>
}

export interface ScriptDefinition {
  readonly name: string
  /** Touch keys only through KEYS, all of one slot; take the time from Redis. */
  readonly lua: string
  /** Replies as Buffers instead of strings. @default false */
  readonly binary?: boolean
}

/**
 * @example
 * ```ts
 * import { defineScript } from 'holdfast/redis'
 *
 * // KEYS[1] counter, ARGV[1] TTL in ms; replies with the new count
 * const count = defineScript<number>({
 *   name: 'count',
 *   lua: `local n = redis.call('INCR', KEYS[1]) redis.call('PEXPIRE', KEYS[1], ARGV[1]) return n`,
 * })
 * ```
 */
export function defineScript<Reply>({ name, lua, binary = false }: ScriptDefinition): Script<Reply> {
  const sha = createHash('sha1').update(lua).digest('hex')
  return {
    name,
    async run(client, keys, args) {
      try {
        const reply = binary
          ? client.callBuffer('EVALSHA', sha, keys.length, ...keys, ...args)
          : client.evalsha(sha, keys.length, ...keys, ...args)
        return (await reply) as Reply
      } catch (error) {
        // Any other error may mean that the script ran: sending it again would run it twice.
        if (!(isError(error) && /^NOSCRIPT\b/.test(error.message))) throw error
        const reply = binary
          ? client.callBuffer('EVAL', lua, keys.length, ...keys, ...args)
          : client.eval(lua, keys.length, ...keys, ...args)
        return (await reply) as Reply
      }
    },
  }
}
