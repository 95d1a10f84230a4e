import type { ConnectionOptions } from 'node:tls'
import type { Duration } from '../shared/duration.js'
import type { Environment } from '../shared/environment.js'
import type { Logger } from '../shared/logger.js'
import {
  aBoolean,
  aDuration,
  anInteger,
  anObject,
  arrayOf,
  aString,
  either,
  type Rule,
  type Rules,
  secret,
} from '../shared/options.js'
import type { RedisClient } from './client.js'
import { aKeyPrefix } from './keys.js'

export interface RedisAddress {
  readonly host: string
  /** @default 6379 (Redis, Cluster), 26379 (Sentinel) */
  readonly port?: number | undefined
}

/**
 * Where Redis is and how patient to be. Everything is optional; what is not given is read from the environment
 * (`REDIS_URL`, `REDIS_HOST` …, see docs/redis.md). With neither, the manager stays `down` and everything passes through.
 */
export interface RedisManagerOptions {
  /** `redis://` or `rediss://` with user, password and database. */
  readonly url?: string | undefined
  readonly host?: string | undefined
  /** @default 6379 */
  readonly port?: number | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Database index. @default 0 */
  readonly db?: number | undefined
  /** `true`, or the options of Node's `tls.connect` (`ca`, `cert`, `servername` …). @default false */
  readonly tls?: boolean | ConnectionOptions | undefined
  /** A master by its name in Sentinel. */
  readonly sentinel?:
    | {
        readonly name: string
        readonly nodes: readonly RedisAddress[]
        /** For the sentinels themselves; `username` and `password` beside this object are for Redis. */
        readonly username?: string | undefined
        readonly password?: string | undefined
        /** @default the `tls` of Redis */
        readonly tls?: boolean | ConnectionOptions | undefined
      }
    | undefined
  /** Some nodes of a Cluster; the others are discovered. */
  readonly cluster?: { readonly nodes: readonly RedisAddress[] } | undefined
  /** Borrow an ioredis client of your own: used as it is, never closed by us. */
  readonly client?: RedisClient | undefined
  /** Start of every key. Letters, digits, `_ . - /`. @default 'holdfast' */
  readonly keyPrefix?: string | undefined
  /** For TCP and TLS to be established, and for a hung connection to be replaced. @default '1s' */
  readonly connectTimeout?: Duration | undefined
  /** Deadline of each command on the request path. @default '75ms' */
  readonly commandTimeout?: Duration | undefined
  /** Most connections for blocking work, besides the shared one. @default 10 */
  readonly maxConnections?: number | undefined
  /** Most commands awaiting a reply; above it calls are refused as if Redis were down. @default 10000 */
  readonly maxInFlight?: number | undefined
  /** Misses in a row that open the circuit breaker. @default 3 */
  readonly breakerThreshold?: number | undefined
  /** Between two background probes while the breaker is open. @default '250ms' */
  readonly probeInterval?: Duration | undefined
  /** Receives one line per change of state; `false` for silence. @default console */
  readonly logger?: Logger | false | undefined
  /** Read instead of `process.env`. */
  readonly env?: Environment | undefined
}

const aPort = anInteger(1, 65_535)

/** Secret, because what is wrong with it is mostly that it is a whole URL. */
export const aHost: Rule = secret({
  expected: 'a host name or address alone, without scheme, credentials or port',
  accepts: (value) =>
    typeof value === 'string' && value !== '' && !/[\s/@?#]/.test(value) && !/^[^:]+:\d+$/.test(value),
})

export const aRedisUrl: Rule = secret({
  expected:
    'a URL such as redis://user:password@host:6379/0 (rediss: for TLS), special characters in the password ' +
    'percent-encoded, nothing after the database',
  accepts: (value) => {
    if (typeof value !== 'string' || !URL.canParse(value)) return false
    const { protocol, hostname, port, pathname, search, hash } = new URL(value)
    return (
      (protocol === 'redis:' || protocol === 'rediss:') &&
      hostname !== '' &&
      port !== '0' &&
      /^\/?(\d{1,5})?$/.test(pathname) &&
      Number(pathname.slice(1)) <= MAX_DB &&
      search === '' &&
      hash === ''
    )
  },
})

const MAX_DB = 65_535

/** Every field as its rule says, and no others: a misspelt one would be ignored in silence. */
function anObjectOf(expected: string, fields: Readonly<Record<string, Rule>>, required: readonly string[]): Rule {
  return {
    expected,
    accepts: (value) =>
      anObject.accepts(value) &&
      required.every((name) => (value as Record<string, unknown>)[name] !== undefined) &&
      Object.entries(value as object).every(
        ([name, field]) => Object.hasOwn(fields, name) && (field === undefined || fields[name]?.accepts(field)),
      ),
  }
}

const aTls = either(aBoolean, anObject)
const nodes = arrayOf(anObjectOf('{ host, port }', { host: aHost, port: aPort }, ['host']), 1)

export const managerRules: Rules<RedisManagerOptions> = {
  url: aRedisUrl,
  host: aHost,
  port: aPort,
  username: aString,
  password: secret(aString),
  db: anInteger(0, MAX_DB),
  tls: aTls,
  sentinel: anObjectOf(
    '{ name, nodes: [{ host, port }] } and optionally username, password, tls',
    { name: aString, nodes, username: aString, password: aString, tls: aTls },
    ['name', 'nodes'],
  ),
  cluster: anObjectOf('{ nodes: [{ host, port }] }', { nodes }, ['nodes']),
  client: {
    expected: 'an ioredis client',
    accepts: (value) =>
      typeof (value as { duplicate?: unknown } | null)?.duplicate === 'function' &&
      typeof (value as { status?: unknown }).status === 'string',
  },
  keyPrefix: aKeyPrefix,
  connectTimeout: aDuration(1),
  commandTimeout: aDuration(1),
  maxConnections: anInteger(1, 10_000),
  maxInFlight: anInteger(1),
  breakerThreshold: anInteger(1),
  probeInterval: aDuration(1),
  logger: {
    expected: 'an object with info, warn and error, or false',
    accepts: (value) =>
      value === false ||
      ['info', 'warn', 'error'].every(
        (level) => typeof (value as Record<string, unknown> | null)?.[level] === 'function',
      ),
  },
  env: anObject,
}
