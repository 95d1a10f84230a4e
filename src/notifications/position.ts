import { createHash } from 'node:crypto'
import { isEventId } from './event-id.js'

/**
 * How far a client is, as the `id` of its events: the id of the user's own stream, then one per topic as
 * `digest=id`. A client without topics sees plain stream ids.
 */
export interface Position {
  readonly user: string | undefined
  /** By {@link digestOf} the topic. */
  readonly topics: ReadonlyMap<string, string>
}

const NOWHERE = '-'
const MAX_TEXT = 4096

export function encodePosition({
  user,
  topics,
}: {
  readonly user: string | undefined
  readonly topics: Iterable<readonly [digest: string, id: string]>
}): string {
  let text = user ?? NOWHERE
  for (const [digest, id] of topics) text += `,${digest}=${id}`
  return text
}

/** `undefined` for anything that {@link encodePosition} does not write: the header comes from anybody. */
export function parsePosition(text: unknown): Position | undefined {
  if (typeof text !== 'string' || text.length > MAX_TEXT) return undefined
  const [first = '', ...rest] = text.split(',')
  if (first !== NOWHERE && !isEventId(first)) return undefined
  const topics = new Map<string, string>()
  for (const part of rest) {
    const [digest = '', id] = part.split('=')
    if (!/^[\w-]{11}$/.test(digest) || !isEventId(id) || part !== `${digest}=${id}`) return undefined
    topics.set(digest, id)
  }
  return { user: first === NOWHERE ? undefined : first, topics }
}

/** Short, of harmless characters, and of one length, whatever a topic is called. */
export function digestOf(topic: string): string {
  return createHash('sha256').update(topic).digest('base64url').slice(0, 11)
}
