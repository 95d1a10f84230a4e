import type { ConnectionOptions } from 'node:tls'
import { toMs } from '../shared/duration.js'
import { reader } from '../shared/environment.js'
import { ConfigurationError } from '../shared/errors.js'
import { harmless, type Logger, silentLogger } from '../shared/logger.js'
import { aDuration, anInteger, aString, checkOptions, secret } from '../shared/options.js'
import type { RedisClient } from './client.js'
import { aKeyPrefix } from './keys.js'
import { aHost, aRedisUrl, managerRules, type RedisAddress, type RedisManagerOptions } from './options.js'

export interface Credentials {
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly db?: number | undefined
  readonly tls?: ConnectionOptions | undefined
}

/** Where Redis is: exactly one of these. */
export type Target =
  | { readonly kind: 'none' }
  | { readonly kind: 'borrowed'; readonly client: RedisClient }
  | ({ readonly kind: 'standalone'; readonly host: string; readonly port: number } & Credentials)
  | ({
      readonly kind: 'sentinel'
      readonly name: string
      readonly nodes: readonly RedisAddress[]
      readonly sentinelUsername?: string | undefined
      readonly sentinelPassword?: string | undefined
      readonly sentinelTls?: ConnectionOptions | undefined
    } & Credentials)
  | ({ readonly kind: 'cluster'; readonly nodes: readonly RedisAddress[] } & Credentials)

/** Options and environment resolved: the core sees nothing optional. */
export interface Settings {
  readonly target: Target
  readonly keyPrefix: string
  readonly connectTimeout: number
  readonly commandTimeout: number
  readonly maxConnections: number
  readonly maxInFlight: number
  readonly breakerThreshold: number
  readonly probeInterval: number
  readonly logger: Logger
}

export function resolveSettings(options: RedisManagerOptions): Settings {
  checkOptions('createRedisManager', options, managerRules)
  const env = reader(options.env ?? process.env)
  const {
    keyPrefix = env.text('REDIS_KEY_PREFIX', aKeyPrefix) ?? 'holdfast',
    connectTimeout = env.duration('REDIS_CONNECT_TIMEOUT', aDuration(1)) ?? 1000,
    commandTimeout = env.duration('REDIS_COMMAND_TIMEOUT', aDuration(1)) ?? 75,
    maxConnections = env.number('REDIS_MAX_CONNECTIONS', anInteger(1, 10_000)) ?? 10,
    maxInFlight = 10_000,
    breakerThreshold = 3,
    probeInterval = 250,
    logger = console,
  } = options
  return {
    target: resolveTarget(options, env),
    keyPrefix,
    connectTimeout: toMs(connectTimeout),
    commandTimeout: toMs(commandTimeout),
    maxConnections,
    maxInFlight,
    breakerThreshold,
    probeInterval: toMs(probeInterval),
    logger: logger === false ? silentLogger : harmless(logger),
  }
}

function resolveTarget(options: RedisManagerOptions, env: ReturnType<typeof reader>): Target {
  const named = (['url', 'host', 'sentinel', 'cluster', 'client'] as const).filter(
    (name) => options[name] !== undefined,
  )
  if (named.length > 1) {
    throw new ConfigurationError(
      'createRedisManager',
      named[1] as string,
      `cannot be given together with "${named[0]}"`,
    )
  }
  if (options.client !== undefined) return { kind: 'borrowed', client: options.client }

  // Once the place is given by options, a variable meant for another place must not mix in its credentials.
  const fromEnv = named.length === 0
  const url = options.url ?? (fromEnv ? env.text('REDIS_URL', aRedisUrl) : undefined)
  const parsed = url === undefined ? undefined : parseUrl(url)
  const tls = options.tls ?? parsed?.tls ?? (fromEnv ? env.flag('REDIS_TLS') : undefined)
  const credentials: Credentials = {
    username: options.username ?? parsed?.username ?? (fromEnv ? env.text('REDIS_USERNAME', aString) : undefined),
    password:
      options.password ?? parsed?.password ?? (fromEnv ? env.text('REDIS_PASSWORD', secret(aString)) : undefined),
    db: options.db ?? parsed?.db ?? (fromEnv ? env.number('REDIS_DB', anInteger(0, 65_535)) : undefined),
    tls: tlsOptions(tls),
  }
  if (options.cluster !== undefined) {
    if (credentials.db) throw new ConfigurationError('createRedisManager', 'db', 'must be 0 on a Cluster')
    return { kind: 'cluster', nodes: options.cluster.nodes, ...credentials }
  }
  if (options.sentinel !== undefined) {
    const { name, nodes, username, password, tls = options.tls } = options.sentinel
    return {
      kind: 'sentinel',
      name,
      nodes,
      sentinelUsername: username,
      sentinelPassword: password,
      sentinelTls: tlsOptions(tls),
      ...credentials,
    }
  }
  const host = options.host ?? parsed?.host ?? (fromEnv ? env.text('REDIS_HOST', aHost) : undefined)
  const port = options.port ?? parsed?.port ?? (fromEnv ? env.number('REDIS_PORT', anInteger(1, 65_535)) : undefined)
  if (host === undefined && port === undefined) return { kind: 'none' }
  return { kind: 'standalone', host: host ?? '127.0.0.1', port: port ?? 6379, ...credentials }
}

function tlsOptions(tls: boolean | ConnectionOptions | undefined): ConnectionOptions | undefined {
  return tls === true ? {} : tls === false ? undefined : tls
}

interface Place {
  readonly host: string
  readonly port: number | undefined
  readonly username: string | undefined
  readonly password: string | undefined
  readonly db: number | undefined
  readonly tls: true | undefined
}

/** `text` satisfies {@link aRedisUrl}. */
function parseUrl(text: string): Place {
  const url = new URL(text)
  const db = url.pathname.replace('/', '')
  return {
    host: decode(url.hostname).replace(/^\[|\]$/g, ''),
    port: url.port === '' ? undefined : Number(url.port),
    username: url.username === '' ? undefined : decode(url.username),
    password: url.password === '' ? undefined : decode(url.password),
    db: db === '' ? undefined : Number(db),
    tls: url.protocol === 'rediss:' ? true : undefined,
  }
}

/** A password with a bare `%` is taken as it stands instead of failing the boot. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
