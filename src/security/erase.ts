import type { RedisManager } from '../redis/index.js'
import { type LogKeys, STREAMS } from './append.js'
import { userCounters } from './detectors/users.js'
import type { Digest } from './digest.js'
import type { Signer } from './integrity.js'
import { decode, fieldsOf } from './query.js'
import { counterKey } from './redis-counters.js'

export interface EraserOptions {
  readonly redis: RedisManager
  readonly keys: LogKeys
  readonly shards: number
  readonly signer: Signer
  readonly digest: Digest
  readonly retention: number
}

const CHUNK = 500
const DEADLINE = 5000

/**
 * Removes the events of a user from every stream, and what detectors remember of them. For each event a signed note
 * stays, without content, so that a verification can tell an erasure from a crime. Fails closed.
 */
export function createEraser({ redis, keys, shards, signer, digest, retention }: EraserOptions) {
  return async (userId: string, user: string): Promise<number> => {
    let removed = 0
    for (let shard = 0; shard < shards; shard++) {
      for (const stream of STREAMS) {
        const key = keys.stream(stream, shard)
        let start = '-'
        for (;;) {
          const entries = await redis.execute(
            'security.erase',
            (client) => client.xrange(key, start, '+', 'COUNT', CHUNK),
            {
              deadline: DEADLINE,
            },
          )
          const mine: string[] = []
          const notes: string[] = []
          for (const [id, flat] of entries) {
            const fields = fieldsOf(flat)
            if (decode(redis, { id, fields })?.userId !== userId) continue
            mine.push(id)
            const { p: producer = '', s = '' } = fields
            const note = signer.signErasure({ producer, stream, sequence: Number(s) })
            if (note !== '') notes.push(`${producer}.${stream}.${s}`, note)
          }
          if (mine.length > 0) {
            removed += await redis.execute(
              'security.erase',
              async (client) => {
                // The note first: an event without a note is better than a gap without one.
                if (notes.length > 0) {
                  await client.hset(keys.erased(shard), ...notes)
                  await client.pexpire(keys.erased(shard), retention)
                }
                return client.xdel(key, ...mine)
              },
              { deadline: DEADLINE },
            )
          }
          const last = entries.at(-1)?.[0]
          if (entries.length < CHUNK || last === undefined) break
          start = `(${last}`
        }
      }
    }
    await redis.execute('security.erase', async (client) => {
      await client.unlink(keys.user(user))
      for (const name of userCounters(userId)) await client.unlink(counterKey(redis, digest, name))
    })
    return removed
  }
}
