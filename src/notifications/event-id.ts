/** Where a stream has no entries yet. */
export const START = '0-0'

/** Narrower than Redis allows, so that no id makes a command fail; wide enough for ids made from a clock. */
const EVENT_ID = /^(0|[1-9]\d{0,15})-(0|[1-9]\d{0,15})$/

/** True for `milliseconds-sequence`, the id of an entry of a Redis stream. */
export function isEventId(text: unknown): text is string {
  return typeof text === 'string' && EVENT_ID.test(text)
}

/** Less than zero where `a` was made before `b`. Both satisfy {@link isEventId}. */
export function compareIds(a: string, b: string): number {
  const [aTime = '', aSequence = ''] = a.split('-')
  const [bTime = '', bSequence = ''] = b.split('-')
  return compareNumerals(aTime, bTime) || compareNumerals(aSequence, bSequence)
}

export function timeOf(id: string): number {
  return Number(id.slice(0, id.indexOf('-')))
}

function compareNumerals(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}
