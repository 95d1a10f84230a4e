import type { RedisManager } from '../../redis/index.js'
import type { Condition, MonitorAlert } from './alert.js'
import { MEASURED } from './levels.js'

const KEEP_MS = 7 * 86_400_000

/** The alerts of a fleet that stand, for the process that takes the watch over. */
export interface StandingAlerts {
  load(): Promise<readonly MonitorAlert[] | undefined>
  save(alerts: readonly MonitorAlert[]): Promise<void>
}

export function createStandingAlerts(redis: RedisManager, name: string): StandingAlerts {
  const key = redis.keys.key('monitor', 'standing', name)
  return {
    async load() {
      const text = await redis.attempt(
        'monitor.load',
        (client) => client.get(key).then((value) => value ?? '[]'),
        () => undefined,
      )
      return text === undefined ? undefined : parse(text)
    },
    async save(alerts) {
      await redis.attempt(
        'monitor.save',
        (client) => client.set(key, JSON.stringify(alerts), 'PX', KEEP_MS),
        () => undefined,
      )
    },
  }
}

function parse(text: string): MonitorAlert[] {
  try {
    const list: unknown = JSON.parse(text)
    return Array.isArray(list) ? list.flatMap(alertOf) : []
  } catch {
    return []
  }
}

function alertOf(value: unknown): MonitorAlert[] {
  const { condition, message, value: measured, threshold, since } = (value ?? {}) as Readonly<Record<string, unknown>>
  const begun = new Date(String(since))
  const known = condition === 'connection' || (typeof condition === 'string' && Object.hasOwn(MEASURED, condition))
  if (!known || typeof message !== 'string' || Number.isNaN(begun.getTime())) return []
  return [
    {
      condition: condition as Condition,
      message,
      value: typeof measured === 'number' ? measured : undefined,
      threshold: typeof threshold === 'number' ? threshold : undefined,
      since: begun,
      clearedAt: undefined,
    },
  ]
}
