import { compareIds, START } from './event-id.js'

/** A notification as it is stored. Each names the one before it, so that a missing one shows. */
export interface Entry {
  readonly id: string
  /** Id of the entry before, also where that one was trimmed; '' for the first. */
  readonly prev: string
  readonly type: string
  /** The data; `undefined` where the bytes in Redis are not what we wrote. */
  readonly json: string | undefined
}

/** What a read of a stream answered. */
export interface Page {
  /** The newest id ever given out, even if its entry has expired; '' where nothing is known of this stream. */
  readonly last: string
  readonly entries: readonly Entry[]
}

export interface Plan {
  /** Notifications were lost between the client's position and this one, which it is at from now on. */
  readonly gap: string | undefined
  readonly entries: readonly Entry[]
  /** Where the client is after all of it. */
  readonly position: string
  /** There is more to read. */
  readonly more: boolean
}

/** What a client at `position` (`undefined`: a new one, given the most recent) is to be sent after a read from there. */
export function plan(position: string | undefined, { last, entries }: Page): Plan {
  if (position === undefined) return { gap: undefined, entries, position: last || START, more: false }
  // Redis has forgotten the stream: it was restarted empty, or everything expired long ago.
  if (last === '') {
    return { gap: position === START ? undefined : START, entries: [], position: START, more: false }
  }
  if (last === position) return { gap: undefined, entries: [], position, more: false }
  // An id from the future: of a stream that was lost and begun anew, or made up.
  if (compareIds(last, position) < 0) return { gap: START, entries: [], position: START, more: true }
  const first = entries[0]
  const newest = entries.at(-1)
  // What came since has expired or was evicted.
  if (first === undefined || newest === undefined) return { gap: last, entries: [], position: last, more: false }
  const before = first.prev || START
  return { gap: before === position ? undefined : before, entries, position: newest.id, more: newest.id !== last }
}

/** What a client at `position` does with an entry that was just published. */
export function follow(position: string, { id, prev }: Entry): 'send' | 'skip' | 'read' {
  if ((prev || START) === position) return 'send'
  if (id === position) return 'skip'
  return prev !== '' && compareIds(id, position) < 0 ? 'skip' : 'read'
}
