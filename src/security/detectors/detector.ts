import type { Confidence } from '../event.js'
import type { SecurityEventType } from '../vocabulary.js'

/** What a detector sees of an event or a request. Accounts, sessions, devices and secrets are digests. */
export interface Signal {
  readonly at: number
  readonly id: string
  /** An event, or `holdfast.request` for a finished request. */
  readonly type: SecurityEventType
  readonly userId?: string | undefined
  readonly account?: string | undefined
  readonly ip?: string | undefined
  /** A device that has logged in to this account before and proved it. */
  readonly device?: string | undefined
  /** The secret that was refused. */
  readonly credential?: string | undefined
  readonly unknownAccount?: boolean | undefined
  readonly session?: string | undefined
  /** Browser and system without versions. */
  readonly agent?: string | undefined
  readonly method?: string | undefined
  readonly path?: string | undefined
  readonly status?: number | undefined
  readonly reason?: string | undefined
}

/** What a detector wants counted. Everything is a set of members in a sliding window, bounded in size. */
export interface SetMeasure {
  /** `add` the member, `read` without adding, or `clear` the set. */
  readonly op: 'add' | 'read' | 'clear'
  readonly key: string
  /** A member counts once; adding it again renews its time. */
  readonly member?: string
  /** In ms. */
  readonly window: number
  /** Members kept; the count stops there. */
  readonly cap?: number
  /** Whether the reading lists the members. */
  readonly entries?: boolean
}

/** Totals per bucket of time, for what is too much to keep one by one. */
export interface SeriesMeasure {
  readonly op: 'tally'
  readonly key: string
  readonly fields: readonly string[]
  readonly bucket: number
  readonly buckets: number
}

export type Measure = SetMeasure | SeriesMeasure

/** The answer to a measure, at the same place of the list. */
export interface Reading {
  readonly count: number
  /** The member was not in the set. */
  readonly added: boolean
  /** Members with the time each was last added, the oldest first. */
  readonly entries: readonly (readonly [member: string, at: number])[]
  /** Of a series: totals by the start of the bucket. */
  readonly series: ReadonlyMap<number, Readonly<Record<string, number>>>
}

/** Whom a finding is about, and so whom a response concerns. */
export type Subject =
  | { readonly kind: 'pair'; readonly account: string; readonly network: string }
  | { readonly kind: 'device'; readonly account: string; readonly device: string }
  | { readonly kind: 'account'; readonly account: string }
  | { readonly kind: 'network'; readonly network: string }
  | { readonly kind: 'user'; readonly userId: string }
  | { readonly kind: 'session'; readonly session: string; readonly userId?: string | undefined }
  | { readonly kind: 'site' }

/**
 * From the mildest to the hardest: `observe` records; `delay` slows log-ins down; `stepUp` asks for a second factor;
 * `blockLogin` refuses log-ins of the subject, `block` its requests, both for a while; `revoke` ends sessions.
 */
export type DetectorAction = 'observe' | 'delay' | 'stepUp' | 'blockLogin' | 'block' | 'revoke'

export interface Finding {
  readonly subject: Subject
  /** What crossed the threshold: a number or a sentence for the alert. */
  readonly count: number
  /** Which observations led here, for a reader. */
  readonly because?: readonly string[]
}

/**
 * A rule: which counters a signal moves, and what their readings mean. Both functions are pure, so that a rule can be
 * tested, and replayed over old events, without Redis and without waiting.
 */
export interface Detector {
  readonly name: string
  /** Recorded when it finds something. */
  readonly event: SecurityEventType
  readonly confidence: Confidence
  /** What it would do; done only where enforcement is on. */
  readonly action: DetectorAction
  /** One finding per subject within this time, in ms. */
  readonly cooldown: number
  /** For documentation and alerts. */
  readonly window: number
  readonly threshold: number
  measure(signal: Signal): readonly Measure[]
  judge(signal: Signal, readings: readonly Reading[]): Finding | undefined
}

/** What may be changed about a detector. */
export interface DetectorSettings {
  readonly window: number
  readonly threshold: number
  readonly cooldown: number
}
