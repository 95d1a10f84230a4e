import { createRedisManager, type RedisManager, type RedisManagerOptions } from '../../src/redis/index.js'
import { fairNow } from '../support/fair-clock.js'

export interface Watched {
  readonly redis: RedisManager
  /** Everything it logged. */
  readonly lines: string[]
  /** Its transitions in order: `up`, `down` … */
  readonly events: string[]
}

const open = new Set<RedisManager>()

/** A manager that sees only these options, whose log and events are kept. */
export function watched(options: RedisManagerOptions = {}): Watched {
  const lines: string[] = []
  const note = (message: string): void => void lines.push(message)
  const redis = createRedisManager({ env: {}, logger: { info: note, warn: note, error: note }, ...options })
  open.add(redis)
  const events: string[] = []
  for (const type of ['up', 'down', 'degraded', 'recovered'] as const) redis.on(type, () => events.push(type))
  return { redis, lines, events }
}

export async function ready(options: RedisManagerOptions = {}): Promise<Watched> {
  const made = watched(options)
  if (!(await made.redis.ready('10s'))) throw new Error(`not ready: ${made.lines.join('\n')}`)
  return made
}

/** For `afterEach`: a test that fails leaves no connection behind. */
export async function closeAll(): Promise<void> {
  await Promise.all([...open].map((redis) => redis.close()))
  open.clear()
}

/** The value of `a`, or why there is none. */
export function get(redis: RedisManager): Promise<string | null> {
  return redis.attempt(
    'get',
    (client) => client.get('a'),
    (reason) => reason,
  )
}

/** How long it took, in ms of {@link fairNow}, whatever the outcome. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = fairNow()
  await work().catch(() => {})
  return fairNow() - started
}

/** Scheduling on a busy machine; deadlines are promised beside it. */
export const SLACK = 100
