import { randomBytes } from 'node:crypto'
import { defineScript, type RedisManager } from '../redis/index.js'
import { aBoolean, aFunction, anInteger, type Rules } from '../shared/options.js'
import type { SetOptions } from './options.js'

/** One value to have at hand. */
export interface WarmLoader extends SetOptions {
  readonly key: string
  readonly load: () => unknown
}

export interface WarmOptions {
  /** Loaders at work at one time. @default 4 */
  readonly concurrency?: number | undefined
  readonly onProgress?: ((progress: WarmProgress) => void) | undefined
  /** Computes what is still fresh too. @default false */
  readonly force?: boolean | undefined
}

export const warmRules: Rules<WarmOptions> = {
  concurrency: anInteger(1),
  onProgress: aFunction,
  force: aBoolean,
}

export interface WarmProgress {
  readonly total: number
  readonly done: number
  readonly failed: number
  /** The key that was just done. */
  readonly key: string
}

export interface WarmReport {
  readonly total: number
  readonly done: number
  readonly failed: number
  /** Another process was at it, or Redis is away: nothing was done here. */
  readonly skipped: boolean
}

export interface Warming {
  readonly redis: RedisManager
  /** Key of the lock: one process of the fleet warms at a time. */
  readonly lockKey: string
  readonly loaders: readonly WarmLoader[]
  /** Rejects where the value could not be had. */
  readonly run: (loader: WarmLoader) => Promise<unknown>
  readonly options: WarmOptions
  /** How long a process that has died keeps others from warming. @default 10000 */
  readonly lockMs?: number | undefined
}

// KEYS[1] lock; ARGV token, ms (0 to let go). Replies 1 where the lock was ours
const keepScript = defineScript<number>({
  name: 'cache.warm.keep',
  lua: `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`,
})

export async function warmUp({ redis, lockKey, loaders, run, options, lockMs = 10_000 }: Warming): Promise<WarmReport> {
  const { concurrency = 4, onProgress } = options
  const token = randomBytes(12).toString('base64url')
  const locked = await redis.attempt(
    'cache.warm',
    async (client) => (await client.set(lockKey, token, 'PX', lockMs, 'NX')) === 'OK',
    () => false,
  )
  const total = loaders.length
  let [next, done, failed] = [0, 0, 0]
  if (!locked) return { total, done, failed, skipped: true }

  const keep = (ms: number): Promise<unknown> =>
    redis.attempt(
      'cache.warm.keep',
      (client) => keepScript.run(client, [lockKey], [token, ms]),
      () => 0,
    )
  const renewal = setInterval(() => void keep(lockMs), lockMs / 4)
  renewal.unref()
  const work = async (): Promise<void> => {
    for (let loader = loaders[next++]; loader !== undefined; loader = loaders[next++]) {
      try {
        await run(loader)
        done++
      } catch {
        failed++
      }
      onProgress?.({ total, done, failed, key: loader.key })
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(concurrency, total) }, work))
    return { total, done, failed, skipped: false }
  } finally {
    clearInterval(renewal)
    await keep(0)
  }
}
