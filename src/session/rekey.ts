import type { RedisManager } from '../redis/index.js'
import type { Address } from './address.js'
import type { Codec } from './codec.js'
import { placeIn } from './places.js'
import { reseal } from './scripts.js'

/** Seals a session with the newest key. True where anything was to be done and has been. */
export async function rekey(redis: RedisManager, codec: Codec, address: Address): Promise<boolean> {
  const fields = await redis.attempt<Record<string, Buffer>>(
    'session.rekey',
    (client) => client.hgetallBuffer(address.record),
    () => ({}),
  )
  const changes: (string | Buffer)[] = []
  const version = Number(fields.v)
  for (const [name, sealed] of Object.entries(fields)) {
    const place = placeIn(address, name, version)
    if (place === undefined) continue
    const opened = codec.open(sealed, place)
    if ('text' in opened && opened.outdated) changes.push(name, sealed, codec.seal(opened.text, place))
  }
  if (changes.length === 0) return false
  const changed = await redis.attempt(
    'session.rekey',
    (client) => reseal.run(client, [address.record], changes),
    () => 0,
  )
  return changed > 0
}
