/** A session as events name it: a salted hash, never its id. */
export interface SessionEvent {
  readonly session: string
  readonly userId?: string | undefined
}

/** `logout`: by its user. `revoked`: by somebody else, or as one of many. `renewed`: replaced by a new id. */
export type SessionEnd = 'logout' | 'revoked' | 'renewed' | 'excess' | 'reuse'

/** One session asked for by its id, as its middleware does once per request. Built only where somebody listens. */
export interface SessionLoaded {
  /** `missing`, `expired`, `revoked`: there is none any more. `unavailable`: Redis could not tell. */
  readonly outcome: 'found' | 'missing' | 'expired' | 'revoked' | 'corrupt' | 'unavailable'
}

declare module '../shared/events.js' {
  interface EventCatalogue {
    readonly 'session.created': SessionEvent
    readonly 'session.loaded': SessionLoaded
    /** A read has restarted the idle time. */
    readonly 'session.touched': SessionEvent
    /** The session goes on under a new id, which `session` names. */
    readonly 'session.renewed': SessionEvent
    readonly 'session.destroyed': SessionEvent & { readonly reason: SessionEnd }
    /** The session could not be asked for or stored; nobody was logged out. */
    readonly 'session.unavailable': { readonly operation: 'load' | 'save' | 'destroy'; readonly reason: string }
    /**
     * A cookie that we did not sign: somebody is guessing, or the secret changed. `cookie` is a digest, the same for
     * the same cookie: a stale one comes with every request, a guesser never sends one twice.
     */
    readonly 'session.rejected': {
      readonly reason: 'signature'
      readonly address?: string | undefined
      readonly cookie?: string
    }
    /**
     * A write that came after the end of its session, or could not be kept through an outage. `unknown-key`: since it
     * began to wait, the session was sealed with a key that is not known here.
     */
    readonly 'session.dropped': SessionEvent & {
      readonly reason: 'gone' | 'conflict' | 'overflow' | 'expired' | 'unknown-key'
    }
    /** Parallel requests changed the same keys; the later writer won. */
    readonly 'session.conflict': SessionEvent & { readonly keys: readonly string[] }
  }
}
