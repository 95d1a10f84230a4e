import { type Duration, parseDuration } from '../shared/duration.js'
import { type Environment, reader } from '../shared/environment.js'
import { aDuration } from '../shared/options.js'

/** What the environment says about every cache of the process. */
export interface CacheEnvironment {
  /** `CACHE_DEFAULT_TTL`: a duration such as `60s`, or milliseconds. */
  readonly defaultTtl: number | undefined
  /** `CACHE_DISABLED`: nothing is read or stored; everything is computed. */
  readonly disabled: boolean
  /** `CACHE_WARM_ON_START`: caches with loaders run them at boot. */
  readonly warmOnStart: boolean
}

const aDefaultTtl = aDuration(1)

export function cacheEnvironment(env: Environment = process.env): CacheEnvironment {
  const read = reader(env)
  const ttl = read.text('CACHE_DEFAULT_TTL', {
    expected: aDefaultTtl.expected,
    accepts: (value) => aDefaultTtl.accepts(durationOf(value as string)),
  })
  return {
    defaultTtl: ttl === undefined ? undefined : parseDuration(durationOf(ttl)),
    disabled: read.flag('CACHE_DISABLED') ?? false,
    warmOnStart: read.flag('CACHE_WARM_ON_START') ?? false,
  }
}

function durationOf(text: string): Duration {
  return /^\d+$/.test(text) ? Number(text) : (text as Duration)
}
