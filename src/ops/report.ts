import type { RedisHealth } from '../redis/index.js'
import type { CheckResult } from './checks.js'

export type HealthStatus = 'pass' | 'warn' | 'fail'

/** One entry of `checks`, as in draft-inadarei-api-health-check section 4. */
export interface HealthEntry {
  readonly componentType: 'datastore' | 'component'
  readonly status: HealthStatus
  readonly time: string
  readonly observedValue?: number | string
  readonly observedUnit?: string
  /** Only for callers that may see details. */
  readonly output?: string
}

/** The body of `application/health+json`. */
export interface HealthReport {
  readonly status: HealthStatus
  readonly version?: string
  readonly checks: Readonly<Record<string, readonly HealthEntry[]>>
}

export interface HealthInput {
  readonly redis: RedisHealth
  readonly checks: readonly CheckResult[]
  /** Redis away is a failure, not a warning. */
  readonly critical: boolean
  readonly draining: boolean
  readonly version: string | undefined
  readonly time: Date
}

/** What all callers may see joined with what operators may see; {@link withoutDetails} takes the latter out. */
export function reportOf({ redis, checks, critical, draining, version, time }: HealthInput): HealthReport {
  const at = time.toISOString()
  const redisStatus: HealthStatus =
    redis.state === 'up' && redis.latencyMs !== undefined ? 'pass' : critical ? 'fail' : 'warn'
  const entries: Record<string, HealthEntry[]> = {
    'redis:state': [
      {
        componentType: 'datastore',
        status: redisStatus,
        time: at,
        observedValue: redis.state,
        ...(redis.state !== 'up' && redis.lastError ? { output: redis.lastError.message } : {}),
      },
    ],
  }
  if (redis.latencyMs !== undefined) {
    entries['redis:responseTime'] = [
      {
        componentType: 'datastore',
        status: 'pass',
        time: at,
        observedValue: Math.round(redis.latencyMs * 1000) / 1000,
        observedUnit: 'ms',
      },
    ]
  }
  for (const { name, ok, critical: isCritical, problem, observedValue, observedUnit } of checks) {
    entries[name] = [
      {
        componentType: 'component',
        status: ok ? 'pass' : isCritical ? 'fail' : 'warn',
        time: at,
        ...(observedValue === undefined ? {} : { observedValue }),
        ...(observedUnit === undefined ? {} : { observedUnit }),
        ...(problem === undefined ? {} : { output: problem }),
      },
    ]
  }
  const statuses = Object.values(entries).flatMap((list) => list.map((entry) => entry.status))
  return {
    status: draining ? 'fail' : worst(statuses),
    ...(version === undefined ? {} : { version }),
    checks: entries,
  }
}

export function withoutDetails(report: HealthReport): HealthReport {
  const checks: Record<string, HealthEntry[]> = {}
  for (const [name, list] of Object.entries(report.checks)) {
    checks[name] = list.map(({ output: _, ...visible }) => visible)
  }
  return { ...report, checks }
}

function worst(statuses: readonly HealthStatus[]): HealthStatus {
  return statuses.includes('fail') ? 'fail' : statuses.includes('warn') ? 'warn' : 'pass'
}
