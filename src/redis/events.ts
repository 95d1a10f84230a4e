/** What is known about a change of state. */
export interface RedisTransition {
  /** The state that was left. */
  readonly from: RedisState
  /** Why, without host names, keys or secrets. */
  readonly reason: string
  /** Milliseconds spent in the state that was left. */
  readonly afterMs: number
}

/**
 * `connecting`: never answered yet · `up`: answers in time · `degraded`: connected, but too slow or hung ·
 * `down`: no connection · `closed`: after `close()`.
 */
export type RedisState = 'connecting' | 'up' | 'degraded' | 'down' | 'closed'

/** One command (or one `attempt`/`execute` call) and how it ended. */
export interface RedisCall {
  readonly operation: string
  /** `refused`: answered without asking Redis. `timeout`: outcome unknown. */
  readonly outcome: 'ok' | 'error' | 'timeout' | 'refused'
  readonly durationMs: number
  /** With `error`: the first word of Redis' reply (`WRONGTYPE`, `OOM`), `lost` with the connection, else `thrown`. */
  readonly error?: string
}

declare module '../shared/events.js' {
  interface EventCatalogue {
    /** Redis answers for the first time. */
    readonly up: RedisTransition
    /** The connection is gone, or could not be made. */
    readonly down: RedisTransition
    /** Connected, but deadlines are missed: the breaker is open. */
    readonly degraded: RedisTransition
    /** Redis answers again after `down` or `degraded`. */
    readonly recovered: RedisTransition
    /** Every command's outcome; built only while somebody listens. */
    readonly 'redis.call': RedisCall
  }
}
