import type { RedisState } from './events.js'
import type { Gate } from './gate.js'
import type { Link } from './link.js'

/** What is known about Redis now. */
export interface RedisHealth {
  readonly state: RedisState
  /** Round trip of a PING made for this answer, in ms; `undefined` unless up. */
  readonly latencyMs: number | undefined
  /** When the state was entered. */
  readonly since: Date
  readonly lastError: { readonly message: string; readonly at: Date } | undefined
  /** Commands awaiting their reply. */
  readonly inFlight: number
}

/** Asks Redis once, within the deadline of a command. Never rejects. */
export async function healthOf(link: Link, gate: Gate, ping: () => Promise<number | undefined>): Promise<RedisHealth> {
  const latencyMs = link.usable ? await ping() : undefined
  const { state, since, lastError } = link
  return {
    state,
    latencyMs: state === 'up' ? latencyMs : undefined,
    since: new Date(since),
    lastError: lastError && { message: lastError.message, at: new Date(lastError.at) },
    inFlight: gate.inFlight,
  }
}
