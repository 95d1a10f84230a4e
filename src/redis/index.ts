export { type BatchCommand, type BatchReply, batch } from './batch.js'
export { isCluster, masters, type RedisClient } from './client.js'
export {
  isRedisCommandError,
  isRedisUnavailable,
  RedisCommandError,
  RedisUnavailableError,
  type UnavailableReason,
} from './errors.js'
export type { RedisCall, RedisState, RedisTransition } from './events.js'
export type { RedisHealth } from './health.js'
export type { CommandStats, ServerStats } from './info.js'
export type { KeyPart, Keyspace, SlotPart } from './keys.js'
export {
  type CallOptions,
  createRedisManager,
  type FallbackReason,
  type RedisCommand,
  type RedisManager,
} from './manager.js'
export type { NamespaceOptions, NamespaceStats } from './namespaces.js'
export type { RedisAddress, RedisManagerOptions } from './options.js'
export type { OwnedConnection } from './owned.js'
export type { Pool, PoolUse } from './pool.js'
export { publish } from './publish.js'
export { type ScanOptions, scan } from './scan.js'
export { defineScript, type Script, type ScriptArgument, type ScriptDefinition } from './script.js'
export type { RedisStats, SlowCall } from './stats.js'
export type { FeatureStatus, StatusLevel, StatusSource } from './status.js'
export type { SubscribeOptions, Subscriber, Subscription } from './subscriber.js'
export type { MessageHandler } from './subscription-line.js'
export type { Tracking, TrackingState, Watcher } from './tracking.js'
