import type { RedisHealth, RedisStats } from '../../redis/index.js'
import type { Facts, FeatureFact } from './facts.js'

export type HealthStatus = 'pass' | 'warn' | 'fail'

/** One entry of `checks`, as in draft-inadarei-api-health-check section 4. */
export interface HealthEntry {
  /** Tells instances of one feature apart, and the shares of features in Redis. */
  readonly componentId?: string
  readonly componentType: 'datastore' | 'component'
  readonly status: HealthStatus
  readonly time: string
  readonly observedValue?: number | string | boolean
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

/** The short form, `format: 'simple'`. What is not known is `null`. */
export interface SimpleHealthReport {
  readonly status: HealthStatus
  readonly redis: {
    readonly status: RedisHealth['state']
    /** In milliseconds. */
    readonly latency: number | null
  }
  readonly cache: {
    /** In all of Redis. */
    readonly totalKeys: number | null
    /** In bytes. */
    readonly memoryUsage: number | null
  }
}

export interface ReportInput {
  readonly facts: Facts
  /** Redis away, or a feature that does not serve, is a failure, not a warning. */
  readonly critical: boolean
  readonly draining: boolean
  readonly version: string | undefined
  readonly time: Date
}

type Entries = Record<string, HealthEntry[]>
type Entry = Omit<HealthEntry, 'time'>

/** Useful to operators and to nobody else: it says which known flaws to try. */
const DETAILS = new Set(['redis:version'])

/** What all callers may see joined with what operators may see; {@link withoutDetails} takes the latter out. */
export function reportOf({ facts, critical, draining, version, time }: ReportInput): HealthReport {
  const entries: Entries = {}
  const at = time.toISOString()
  const put = (
    name: string,
    { status, componentId, componentType, observedValue, observedUnit, output }: Entry,
  ): void => {
    const list = entries[name] ?? []
    entries[name] = list
    list.push({
      ...(componentId === undefined ? {} : { componentId }),
      componentType,
      status,
      time: at,
      ...(observedValue === undefined ? {} : { observedValue }),
      ...(observedUnit === undefined ? {} : { observedUnit }),
      ...(output === undefined ? {} : { output }),
    })
  }
  putRedis(put, facts.redis, critical)
  if (facts.server !== undefined) putServer(put, facts.server)
  for (const { namespace, keys, bytes } of facts.namespaces) {
    const common = { componentId: namespace, componentType: 'datastore', status: 'pass' } as const
    put('redis:keys', { ...common, observedValue: keys })
    put('redis:memory', { ...common, observedValue: bytes, observedUnit: 'bytes' })
  }
  for (const fact of facts.features) putFeature(put, fact, critical)
  for (const { name, ok, critical: isCritical, problem, observedValue, observedUnit } of facts.checks) {
    put(name, {
      componentType: 'component',
      status: ok ? 'pass' : isCritical ? 'fail' : 'warn',
      ...(observedValue === undefined ? {} : { observedValue }),
      ...(observedUnit === undefined ? {} : { observedUnit }),
      ...(problem === undefined ? {} : { output: problem }),
    })
  }
  const statuses = Object.values(entries).flatMap((list) => list.map(({ status }) => status))
  return {
    status: draining ? 'fail' : worst(statuses),
    ...(version === undefined ? {} : { version }),
    checks: entries,
  }
}

type Put = (name: string, entry: Entry) => void

function putRedis(put: Put, { state, latencyMs, lastError }: RedisHealth, critical: boolean): void {
  put('redis:state', {
    componentType: 'datastore',
    status: state === 'up' && latencyMs !== undefined ? 'pass' : critical ? 'fail' : 'warn',
    observedValue: state,
    ...(state !== 'up' && lastError ? { output: lastError.message } : {}),
  })
  if (latencyMs === undefined) return
  const observed = { observedValue: Math.round(latencyMs * 1000) / 1000, observedUnit: 'ms' }
  put('redis:responseTime', { componentType: 'datastore', status: 'pass', ...observed })
}

function putServer(put: Put, { servers, totals, unavailable }: RedisStats): void {
  // What the user may not ask is no zero.
  if (unavailable.includes('info')) return
  const measure = (name: string, observedValue: number | string | undefined, observedUnit?: string): void => {
    if (observedValue === undefined) return
    const unit = observedUnit === undefined ? {} : { observedUnit }
    put(`redis:${name}`, { componentType: 'datastore', status: 'pass', observedValue, ...unit })
  }
  const versions = [...new Set(servers.map(({ version }) => version))]
  measure('version', versions.join(', '))
  measure('role', servers.length > 1 ? `${servers.length} masters` : servers[0]?.role)
  measure('keys', totals.keys)
  measure('memory', totals.usedBytes, 'bytes')
  measure('hitRatio', round(totals.hitRatio))
  measure('operationsPerSecond', totals.operationsPerSecond)
}

function putFeature(put: Put, { feature, name, status, values, problem }: FeatureFact, critical: boolean): void {
  const common = {
    componentType: 'component' as const,
    ...(name === undefined ? {} : { componentId: name }),
    status: status === 'fail' && !critical ? ('warn' as const) : status,
  }
  const output = problem === undefined ? {} : { output: problem }
  put(`${feature}:status`, { ...common, observedValue: status, ...output })
  for (const [measurement, value] of Object.entries(values)) {
    if (value === undefined) continue
    const unit = unitOf(measurement)
    const observedValue = typeof value === 'number' ? round(value) : value
    if (observedValue === undefined) continue
    put(`${feature}:${measurement}`, {
      ...common,
      observedValue,
      ...(unit === undefined ? {} : { observedUnit: unit }),
    })
  }
}

function unitOf(measurement: string): string | undefined {
  if (measurement.endsWith('Ms')) return 'ms'
  return /bytes$/i.test(measurement) ? 'bytes' : undefined
}

function round(value: number | undefined): number | undefined {
  return value === undefined || !Number.isFinite(value) ? undefined : Math.round(value * 1000) / 1000
}

export function withoutDetails(report: HealthReport): HealthReport {
  const checks: Entries = {}
  for (const [name, list] of Object.entries(report.checks)) {
    if (!DETAILS.has(name)) checks[name] = list.map(({ output: _, ...visible }) => visible)
  }
  return { ...report, checks }
}

export function simpleOf({ redis, server }: Facts, status: HealthStatus): SimpleHealthReport {
  const known = server?.unavailable.includes('info') === false ? server.totals : undefined
  return {
    status,
    redis: { status: redis.state, latency: round(redis.latencyMs) ?? null },
    cache: { totalKeys: known?.keys ?? null, memoryUsage: known?.usedBytes ?? null },
  }
}

function worst(statuses: readonly HealthStatus[]): HealthStatus {
  return statuses.includes('fail') ? 'fail' : statuses.includes('warn') ? 'warn' : 'pass'
}
