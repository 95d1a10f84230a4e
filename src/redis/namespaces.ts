import { masters } from './client.js'
import type { RedisManager } from './manager.js'
import { scan } from './scan.js'

/** An estimate for the keys below `prefix:namespace:`. */
export interface NamespaceStats {
  readonly namespace: string
  readonly keys: number
  readonly bytes: number
}

export interface NamespaceOptions {
  /** Most keys looked at. With fewer keys than this the counts are exact. @default 2000 */
  readonly sample?: number
}

/** Keys of each namespace whose memory is asked. */
const WEIGHED = 50

/**
 * Counts and memory of our own keys, by feature, from a sample: the order of SCAN is that of a hash, so that its first
 * keys are a fair one. Each step is short, whatever the number of keys.
 */
export async function namespacesOf(
  redis: Pick<RedisManager, 'execute' | 'keys'>,
  { sample = 2000 }: NamespaceOptions = {},
): Promise<NamespaceStats[]> {
  const seen = new Set<string>()
  let whole = true
  for await (const keys of scan(redis, '*', { count: 200 })) {
    for (const key of keys) seen.add(key)
    if (seen.size >= sample) {
      whole = false
      break
    }
  }
  const groups = new Map<string, string[]>()
  const { prefix } = redis.keys
  for (const key of seen) {
    if (!key.startsWith(`${prefix}:`)) continue
    const name = key.slice(prefix.length + 1).split(':', 1)[0] ?? ''
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [key])
    else group.push(key)
  }
  const scale = whole || seen.size === 0 ? 1 : (await totalKeys(redis)) / seen.size
  return Promise.all(
    [...groups].map(async ([namespace, keys]) => {
      const average = await averageBytes(redis, keys.slice(0, WEIGHED))
      const count = Math.round(keys.length * scale)
      return { namespace, keys: count, bytes: Math.round(count * average) }
    }),
  )
}

async function totalKeys(redis: Pick<RedisManager, 'execute'>): Promise<number> {
  const sizes = await redis.execute(
    'namespaces',
    (client) => Promise.all(masters(client).map((node) => node.dbsize())),
    {
      deadline: 1000,
    },
  )
  return sizes.reduce((total, size) => total + size, 0)
}

async function averageBytes(redis: Pick<RedisManager, 'execute'>, keys: readonly string[]): Promise<number> {
  const sizes = await redis.execute(
    'namespaces',
    (client) => Promise.all(keys.map((key) => client.memory('USAGE', key))),
    { deadline: 1000 },
  )
  const known = sizes.filter((size) => size !== null)
  return known.length === 0 ? 0 : known.reduce((total, size) => total + size, 0) / known.length
}
