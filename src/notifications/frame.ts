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

/** The data of a notification's event. */
export function notificationJson({ id, type, json }: Entry, topic: string | undefined): string {
  const from = topic === undefined ? '' : `,"topic":${JSON.stringify(topic)}`
  return `{"id":"${id}","type":"${type}","at":${timeOf(id)}${from},"data":${json}}`
}
