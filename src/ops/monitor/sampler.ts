import { type FeatureStatus, masters, type RedisManager, type RedisStats } from '../../redis/index.js'
import { GROWTH_WINDOW_MS, type Readings, readingsOf, type Sample } from './readings.js'

/** Looks at Redis, and remembers as much as the next look needs. */
export interface Sampler {
  /** `undefined` where Redis did not answer. Never rejects. */
  take(): Promise<Readings | undefined>
  latest(): { readonly latencyMs: number; readonly stats: RedisStats } | undefined
  /** The server, as the last look found it. */
  status(): FeatureStatus
  /** The next look is the first one again. */
  forget(): void
}

const ADMINISTRATION = { deadline: 2000 }
/** One point a minute is enough for an hour, however often it looks. */
const HISTORY_STEP_MS = 60_000

export function createSampler(redis: RedisManager): Sampler {
  let previous: Sample | undefined
  let history: { readonly at: number; readonly keys: number }[] = []

  async function sample(): Promise<Sample | undefined> {
    const latencyMs = await redis.attempt('monitor.ping', pingThrice, () => undefined, ADMINISTRATION)
    if (latencyMs === undefined) return undefined
    const stats = await redis.stats().then(
      (it) => it,
      () => undefined,
    )
    return stats && { at: performance.now(), latencyMs, stats }
  }

  function fewestKeys(now: number): number | undefined {
    history = history.filter(({ at }) => now - at <= GROWTH_WINDOW_MS)
    return history.length === 0 ? undefined : Math.min(...history.map(({ keys }) => keys))
  }

  return {
    async take() {
      const found = await sample()
      if (found === undefined) return undefined
      const readings = readingsOf(found, previous, fewestKeys(found.at))
      const { at, stats } = found
      if (at - (history.at(-1)?.at ?? Number.NEGATIVE_INFINITY) >= HISTORY_STEP_MS) {
        history.push({ at, keys: stats.totals.keys })
      }
      previous = found
      return readings
    },
    latest: () => previous && { latencyMs: previous.latencyMs, stats: previous.stats },
    status() {
      const totals = previous?.stats.totals
      return {
        status: 'pass',
        values: {
          latencyMs: previous?.latencyMs,
          keys: totals?.keys,
          usedBytes: totals?.usedBytes,
          usedRatio: totals?.usedRatio,
          hitRatio: totals?.hitRatio,
          operationsPerSecond: totals?.operationsPerSecond,
          connectedClients: totals?.connectedClients,
        },
      }
    },
    forget() {
      previous = undefined
      history = []
    },
  }
}

/** The best of three, so that a moment of work in this process is not taken for a slow Redis. */
async function pingThrice(client: Parameters<typeof masters>[0]): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < 3; i++) {
    const started = performance.now()
    await Promise.all(masters(client).map((node) => node.ping()))
    best = Math.min(best, performance.now() - started)
  }
  return best
}
