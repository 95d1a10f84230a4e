import type { RedisManager } from '../redis/index.js'
import { isSessionUnavailable } from './errors.js'
import type { Found } from './record.js'
import { parseObject } from './record.js'
import type { SessionRepository } from './repository.js'

/**
 * Takes over a session that a plain connect-redis stored as `<prefix><id>`. It is stored anew before the old one is
 * removed, and {@link SessionRepository} lets nothing take the place of what was removed meanwhile.
 */
export async function adoptLegacy(
  redis: RedisManager,
  repository: SessionRepository,
  { prefix, id, idle, absolute }: { prefix: string; id: string; idle: number; absolute: number },
): Promise<Found> {
  if (id.startsWith('#')) return { status: 'missing' }
  // The key is another program's: the prefix of our own keys has no place in it.
  const key = prefix + id
  const json = await redis.attempt<string | null | undefined>(
    'session.adopt',
    (client) => client.get(key),
    () => undefined,
  )
  if (json === undefined) return { status: 'unavailable', reason: 'outage' }
  if (json === null) return { status: 'missing' }
  if (parseObject(json) === undefined) {
    redis.emit('data.corrupt', { feature: 'session', problem: 'a session of connect-redis cannot be read' })
    return { status: 'corrupt' }
  }
  try {
    await repository.create(id, { json, idle, absolute })
  } catch (error) {
    if (!isSessionUnavailable(error)) throw error
    return { status: 'unavailable', reason: 'outage' }
  }
  await redis.attempt(
    'session.adopt',
    (client) => client.unlink(key),
    () => 0,
  )
  return repository.find(id)
}
