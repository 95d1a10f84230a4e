import type { RedisManager } from '../redis/index.js'
import { type Duration, toMs } from '../shared/duration.js'
import {
  aBoolean,
  aDuration,
  aManager,
  anInteger,
  checkOptions,
  type Rules,
  requireOptions,
} from '../shared/options.js'
import type { ConnectionLimits } from './connection.js'

export interface NotifierOptions {
  readonly redis: RedisManager
  /** Notifications kept per user and per topic. @default 100 */
  readonly history?: number | undefined
  /** How long after the last one they are kept. @default '7d' */
  readonly ttl?: Duration | undefined
  /** Largest `data` as JSON. @default 16384 (16 KiB) */
  readonly maxBytes?: number | undefined
  /**
   * While a notification certainly did not reach Redis, show it to the clients of this process. It is not stored, and
   * other processes never see it. @default false
   */
  readonly localWhenDown?: boolean | undefined
  /** Open streams of this process; further ones are answered 503. @default 10000 */
  readonly maxConnections?: number | undefined
  /** Open streams of one user in this process; further ones are answered 429. @default 10 */
  readonly maxPerUser?: number | undefined
  /** What may wait in this process for a client that does not read, in bytes. @default 65536 (64 KiB) */
  readonly maxBuffered?: number | undefined
  /** How long a client may leave its stream unread before it is closed. @default '30s' */
  readonly stallTimeout?: Duration | undefined
  /** A comment after this much silence, so that proxies keep the stream open. @default '15s' */
  readonly heartbeat?: Duration | undefined
  /** How long clients wait before they connect again. @default '2s' */
  readonly retry?: Duration | undefined
}

/** Options resolved: the core sees nothing optional. Durations are in ms. */
export interface NotifierSettings {
  readonly redis: RedisManager
  readonly history: number
  readonly ttl: number
  readonly maxBytes: number
  readonly localWhenDown: boolean
  readonly maxConnections: number
  readonly maxPerUser: number
  readonly limits: ConnectionLimits
}

const rules: Rules<NotifierOptions> = {
  redis: aManager,
  history: anInteger(1, 10_000),
  ttl: aDuration(1000),
  maxBytes: anInteger(1, 1024 * 1024),
  localWhenDown: aBoolean,
  maxConnections: anInteger(1),
  maxPerUser: anInteger(1),
  maxBuffered: anInteger(1024),
  stallTimeout: aDuration(1),
  heartbeat: aDuration(100),
  retry: aDuration(0, 3_600_000),
}

export function resolve(options: NotifierOptions): NotifierSettings {
  checkOptions('createNotifier', options, rules)
  requireOptions('createNotifier', options, rules, 'redis')
  const {
    redis,
    history = 100,
    ttl = '7d',
    maxBytes = 16 * 1024,
    localWhenDown = false,
    maxConnections = 10_000,
    maxPerUser = 10,
    maxBuffered = 64 * 1024,
    stallTimeout = '30s',
    heartbeat = '15s',
    retry = '2s',
  } = options
  const limits = {
    maxBuffered,
    stallTimeout: toMs(stallTimeout),
    heartbeat: toMs(heartbeat),
    retry: toMs(retry),
  }
  return { redis, history, ttl: toMs(ttl), maxBytes, localWhenDown, maxConnections, maxPerUser, limits }
}
