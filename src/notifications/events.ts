import type { CloseReason } from './connection.js'

/**
 * What became of an event stream. `refused`: over a limit, or the notifier is closed. `gap`: its client was told that
 * notifications were lost.
 */
export type StreamEvent =
  | { readonly type: 'opened'; readonly connections: number }
  | { readonly type: 'closed'; readonly reason: CloseReason; readonly connections: number }
  | { readonly type: 'refused'; readonly reason: StreamRefusal }
  | { readonly type: 'gap' }

export type StreamRefusal = 'user-limit' | 'total-limit' | 'closed'

declare module '../shared/events.js' {
  interface EventCatalogue {
    readonly 'notifications.stream': StreamEvent
  }
}
