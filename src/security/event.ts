import { normaliseAddress } from '../shared/address.js'
import { accountDigest, type Digest } from './digest.js'
import { type Clean, cleanText, sanitise } from './sanitise.js'
import type { Meaning, SecurityEventType, SecurityLevel } from './vocabulary.js'

export type Outcome = 'success' | 'failure'
export type Confidence = 'low' | 'medium' | 'high'

/** One security event: a flat JSON object; only `details` nests. Times are UTC. */
export interface SecurityEvent {
  /** Version of this schema. */
  readonly v: 1
  /** ULID: unique, sortable, the same in every sink and on every retry. */
  readonly id: string
  /** When it happened, ISO 8601. */
  readonly ts: string
  readonly app?: string
  readonly host?: string
  readonly event: SecurityEventType
  readonly level: SecurityLevel
  readonly outcome?: Outcome
  readonly reason?: string
  readonly userId?: string
  /** Keyed digest of the name typed at a login: known and unknown accounts alike, never the text itself. */
  readonly account?: string
  readonly ip?: string
  readonly userAgent?: string
  readonly requestId?: string
  readonly method?: string
  /** Route pattern (`/orders/:id`) where a route matched, else the path; never the query. */
  readonly path?: string
  readonly status?: number
  /** Keyed digest of the session id. */
  readonly session?: string
  /** What was acted upon. */
  readonly target?: string
  /** How sure a detector is. */
  readonly confidence?: Confidence
  /** What was done about it. */
  readonly action?: string
  readonly traceId?: string
  readonly details?: { readonly [name: string]: Clean }
  /** Something was left out for its size. */
  readonly truncated?: true
}

/**
 * What is known about an event. The named fields go into the schema; every other name becomes a detail, redacted and
 * bounded.
 */
export interface SecurityEventDetails {
  readonly userId?: string | number | undefined
  /** The name typed at a login. Only its keyed digest is kept. */
  readonly account?: string | undefined
  readonly ip?: string | undefined
  readonly userAgent?: string | undefined
  readonly requestId?: string | undefined
  readonly method?: string | undefined
  readonly path?: string | undefined
  readonly status?: number | undefined
  /** Only its keyed digest is kept. */
  readonly sessionId?: string | undefined
  readonly outcome?: Outcome | undefined
  readonly reason?: string | undefined
  readonly target?: string | undefined
  readonly confidence?: Confidence | undefined
  readonly action?: string | undefined
  readonly traceId?: string | undefined
  /** When it happened, where that is not now: a Date or milliseconds. */
  readonly at?: Date | number | undefined
  /** Instead of the level of the vocabulary. */
  readonly level?: SecurityLevel | undefined
  /** Keep it in the audit stream, with its own retention. */
  readonly audit?: boolean | undefined
  readonly [detail: string]: unknown
}

export interface EventContext {
  readonly app: string | undefined
  readonly host: string | undefined
  readonly digest: Digest
  readonly isSecretName: (name: string) => boolean
}

/** Digests made before: detectors speak of accounts and sessions by nothing else. */
export interface KnownDigests {
  readonly account?: string | undefined
  readonly session?: string | undefined
}

/** An event with the things about it that are not part of it. */
export interface MadeEvent {
  readonly event: SecurityEvent
  readonly json: string
  readonly at: number
  readonly audit: boolean
}

const MAX_EVENT_BYTES = 8192
const LEVELS: ReadonlySet<unknown> = new Set<SecurityLevel>(['info', 'warn', 'critical'])
const OUTCOMES: ReadonlySet<unknown> = new Set<Outcome>(['success', 'failure'])
const CONFIDENCES: ReadonlySet<unknown> = new Set<Confidence>(['low', 'medium', 'high'])

/** Builds the event. Whatever `given` is and does, the result is bounded, redacted and one line of JSON. */
export function makeEvent(
  id: string,
  now: number,
  meaning: Meaning,
  given: unknown,
  context: EventContext,
  known: KnownDigests = {},
): MadeEvent {
  const { value, truncated } = sanitise(given ?? {}, context.isSecretName, SPECIAL)
  const details = (typeof value === 'object' && value !== null && !Array.isArray(value) ? value : { value }) as Fields
  const field = reader(given)
  const at = timeOf(field('at'), now)
  const level = field('level')
  const event: Mutable<SecurityEvent> = {
    v: 1,
    id,
    ts: new Date(at).toISOString(),
    ...(context.app === undefined ? {} : { app: context.app }),
    ...(context.host === undefined ? {} : { host: context.host }),
    event: meaning.type,
    level: LEVELS.has(level) ? (level as SecurityLevel) : meaning.level,
  }
  const outcome = field('outcome')
  const result = OUTCOMES.has(outcome) ? (outcome as Outcome) : outcomeOf(meaning.type)
  if (result !== undefined) event.outcome = result
  put(event, 'reason', text(field('reason'), 200))
  put(event, 'userId', userOf(field('userId')))
  put(event, 'account', known.account ?? digestOf(field('account'), (name) => accountDigest(context.digest, name)))
  put(event, 'ip', normaliseAddress(field('ip')))
  put(event, 'userAgent', text(field('userAgent'), 300))
  put(event, 'requestId', text(field('requestId'), 100, false))
  put(event, 'method', text(field('method'), 16))
  put(event, 'path', text(field('path'), 300))
  const status = field('status')
  if (Number.isInteger(status)) event.status = status as number
  put(event, 'session', known.session ?? digestOf(field('sessionId'), (id) => context.digest('session', id)))
  put(event, 'target', text(field('target'), 200))
  const confidence = field('confidence')
  if (CONFIDENCES.has(confidence)) event.confidence = confidence as Confidence
  put(event, 'action', text(field('action'), 100))
  put(event, 'traceId', text(field('traceId'), 100, false))
  if (Object.keys(details).length > 0) event.details = details
  if (truncated) event.truncated = true
  return { event, json: encode(event), at, audit: field('audit') === true }
}

type Fields = { [name: string]: Clean }
type Mutable<T> = { -readonly [Name in keyof T]: T[Name] }

const SPECIAL: ReadonlySet<string> = new Set([
  ...['userId', 'account', 'ip', 'userAgent', 'requestId', 'method', 'path', 'status', 'sessionId', 'outcome'],
  ...['reason', 'target', 'confidence', 'action', 'traceId', 'at', 'level', 'audit', 'credential'],
])

function reader(given: unknown): (name: string) => unknown {
  if (typeof given !== 'object' || given === null) return () => undefined
  return (name) => {
    try {
      return Object.hasOwn(given, name) ? (given as Record<string, unknown>)[name] : undefined
    } catch {
      return undefined
    }
  }
}

function text(value: unknown, max: number, cards = true): string | undefined {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  return typeof value === 'string' && value !== '' ? cleanText(value, { max, cards }) : undefined
}

function digestOf(value: unknown, digest: (text: string) => string): string | undefined {
  return typeof value === 'string' && value !== '' ? digest(value) : undefined
}

/** A user id as events hold it. */
export function userName(userId: string | number): string {
  return cleanText(String(userId), { max: 200, cards: false })
}

function userOf(value: unknown): string | undefined {
  const given = typeof value === 'number' || typeof value === 'bigint' ? String(value) : value
  return typeof given === 'string' && given !== '' ? userName(given) : undefined
}

function timeOf(value: unknown, now: number): number {
  const ms = value instanceof Date ? value.getTime() : value
  return typeof ms === 'number' && Number.isFinite(ms) && ms >= 0 && ms < 8.64e15 ? Math.floor(ms) : now
}

function outcomeOf(type: SecurityEventType): Outcome | undefined {
  if (/_(?:fail|fail_max)$/.test(type)) return 'failure'
  return /_success$/.test(type) ? 'success' : undefined
}

function put<Name extends keyof SecurityEvent>(
  event: Mutable<SecurityEvent>,
  name: Name,
  value: SecurityEvent[Name] | undefined,
): void {
  if (value !== undefined) event[name] = value
}

function encode(event: Mutable<SecurityEvent>): string {
  const json = JSON.stringify(event)
  if (json.length * 3 <= MAX_EVENT_BYTES || Buffer.byteLength(json) <= MAX_EVENT_BYTES) return json
  event.truncated = true
  const details = event.details ?? {}
  event.details = { kept: Object.keys(details).slice(0, 10).join(' ').slice(0, 500), dropped: 'details over 8 kB' }
  return JSON.stringify(event)
}
