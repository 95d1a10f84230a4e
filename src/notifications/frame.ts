import { timeOf } from './event-id.js'
import type { Entry } from './plan.js'

/** Sent as a comment, which `EventSource` ignores and proxies count as life. */
export const HEARTBEAT = ': \n\n'

/** One event (HTML standard, 9.2.5). `data` is one line, as JSON without indentation is. */
export function frame(event: string, data: string, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`
}

/** How long a client waits before it connects again. */
export function retryFrame(ms: number): string {
  return `retry: ${ms}\n\n`
}

let written: { readonly entry: Entry; readonly body: string } | undefined

/** A notification's event but for its id. An entry is of one topic, and goes to all who follow it one after the other. */
export function notificationBody(entry: Entry, topic: string | undefined): string {
  if (written?.entry === entry) return written.body
  const { id, type, json } = entry
  const from = topic === undefined ? '' : `,"topic":${JSON.stringify(topic)}`
  const body = frame(type, `{"id":"${id}","type":"${type}","at":${timeOf(id)}${from},"data":${json}}`)
  written = { entry, body }
  return body
}
