import type { SecurityEvent, SecuritySink } from '../../src/security/index.js'
import { fieldsOf } from '../../src/security/query.js'
import type { RedisServer } from '../support/redis-server.js'

/** A sink that keeps what it is given. */
export function collect(): SecuritySink & { readonly events: SecurityEvent[]; readonly lines: string[] } {
  const events: SecurityEvent[] = []
  const lines: string[] = []
  const sink: SecuritySink = (event, json) => {
    events.push(event)
    lines.push(json)
  }
  return Object.assign(sink, { events, lines })
}

export interface RawEntry {
  readonly id: string
  readonly fields: Record<string, string>
  readonly event: SecurityEvent
}

/** What a stream holds, read past the package. */
export async function rawStream(
  server: RedisServer,
  key = 'holdfast:security:log:{security-0}:security',
): Promise<RawEntry[]> {
  const reply = await server.client().xrange(key, '-', '+')
  return reply.map(([id, flat]) => {
    const fields = fieldsOf(flat)
    return { id, fields, event: JSON.parse(fields.e ?? 'null') as SecurityEvent }
  })
}
