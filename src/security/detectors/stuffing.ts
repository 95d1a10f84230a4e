import type { Detector, DetectorSettings, Reading } from './detector.js'
import { failed, succeeded } from './logins.js'
import { subscriber } from './network.js'

const BUCKET = 5 * 60_000
const BUCKETS = 288
const HALF_LIFE = 6 * 3_600_000
/** What a site without history is taken to have: one failure in ten log-ins. */
const PRIOR = 0.1
/** From fewer, it is the business of the detectors per address. */
const MANY_NETWORKS = 20
const UNKNOWN_SHARE = 0.6

/**
 * Log-ins of the whole site fail far more than they used to, or mostly for accounts that do not exist: lists of stolen
 * passwords tried from so many addresses that none stands out. `threshold` is failures a minute. (OWASP Credential
 * Stuffing Prevention Cheat Sheet: burst and long windows, graduated response.)
 */
export function credentialStuffing({ window, threshold, cooldown }: DetectorSettings): Detector {
  return {
    ...{ name: 'credentialStuffing', event: 'holdfast.detected', confidence: 'medium', action: 'stepUp' },
    ...{ window, threshold, cooldown },
    measure(signal) {
      if (succeeded(signal)) return [{ op: 'tally', key: 'site', fields: ['ok'], bucket: BUCKET, buckets: BUCKETS }]
      if (!failed(signal) || signal.device !== undefined) return []
      const fields = signal.unknownAccount === true ? ['fail', 'unknown'] : ['fail']
      return [
        { op: 'tally', key: 'site', fields, bucket: BUCKET, buckets: BUCKETS },
        { op: 'add', key: 'site:networks', member: subscriber(signal.ip) ?? '', window: BUCKET, cap: 200 },
      ]
    },
    judge({ at, ...signal }, [site, networks]) {
      if (site === undefined || !failed({ at, ...signal })) return undefined
      if ((networks?.count ?? 0) < MANY_NETWORKS) return undefined
      const now = currentOf(site, at)
      if (now.perMinute < threshold) return undefined
      const usual = usualRatio(site, at)
      const because: string[] = []
      if (now.ratio > Math.min(usual * 3, 0.9)) {
        because.push(`${percent(now.ratio)} of log-ins fail, usually ${percent(usual)}`)
      }
      if (now.unknownShare > UNKNOWN_SHARE) because.push(`${percent(now.unknownShare)} of the accounts do not exist`)
      return because.length > 0 ? { subject: { kind: 'site' }, count: Math.round(now.perMinute), because } : undefined
    },
  }
}

interface Totals {
  readonly ok: number
  readonly fail: number
  readonly unknown: number
}

function totalsAt({ series }: Reading, bucket: number): Totals {
  const { ok = 0, fail = 0, unknown = 0 } = series.get(bucket) ?? {}
  return { ok, fail, unknown }
}

function currentOf(site: Reading, at: number) {
  const start = at - (at % BUCKET)
  const { ok, fail, unknown } = totalsAt(site, start)
  const minutes = Math.max((at - start) / 60_000, 1)
  return { perMinute: fail / minutes, ratio: fail / Math.max(fail + ok, 1), unknownShare: unknown / Math.max(fail, 1) }
}

/** Exponentially weighted moving average over the past day, this bucket left out. */
function usualRatio(site: Reading, at: number): number {
  const current = at - (at % BUCKET)
  let weighted = PRIOR
  let weight = 1
  for (const start of site.series.keys()) {
    if (start >= current) continue
    const { ok, fail } = totalsAt(site, start)
    if (ok + fail === 0) continue
    const share = 2 ** (-(current - start) / HALF_LIFE)
    weighted += share * (fail / (ok + fail))
    weight += share
  }
  return weighted / weight
}

function percent(ratio: number): string {
  return `${Math.round(ratio * 100)} %`
}
