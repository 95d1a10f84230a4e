import type { SecurityEvent } from './event.js'

export type ExportFormat = 'ndjson' | 'csv'

const COLUMNS = [
  ...(['id', 'ts', 'app', 'host', 'event', 'level', 'outcome', 'reason', 'userId', 'account', 'ip'] as const),
  ...(['userAgent', 'requestId', 'method', 'path', 'status', 'session', 'target', 'confidence', 'action'] as const),
  ...(['traceId', 'details'] as const),
]

/** Lines of a file, one event each, in the order and as slowly as they are asked for. */
export async function* formatEvents(
  events: AsyncIterable<SecurityEvent>,
  format: ExportFormat,
): AsyncGenerator<string, void, undefined> {
  if (format === 'ndjson') {
    for await (const event of events) yield `${JSON.stringify(event)}\n`
    return
  }
  yield `${COLUMNS.join(',')}\r\n`
  for await (const event of events) yield `${COLUMNS.map((name) => cell(event[name])).join(',')}\r\n`
}

/** What a spreadsheet would take for a formula, also in its full-width forms. */
const FORMULA = /^[\s]*[=+\-@＝＋－＠]|^[\t\r\n]/

/** RFC 4180, with a leading apostrophe before what a spreadsheet would run. */
export function cell(value: unknown): string {
  if (value === undefined || value === null) return ''
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  const safe = FORMULA.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) || safe !== text ? `"${safe.replaceAll('"', '""')}"` : safe
}
