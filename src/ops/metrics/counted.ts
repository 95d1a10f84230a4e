import type { EventCatalogue } from '../../shared/events.js'
import { CONDITIONS } from '../monitor/alert.js'

type NamesOf<Event> = Event extends unknown ? Extract<keyof Event, string> : never

/** How an event becomes a counter. */
export interface CountedEvent<Event> {
  /** In the catalogue of metrics: `holdfast_<name>_total`. */
  readonly name: string
  readonly help: string
  /** Fields of the event that become labels: only such as have few values, never paths, users or keys. */
  readonly labels?: readonly NamesOf<Event>[] | undefined
  /** Labels with one value each, for events that share a counter. */
  readonly constant?: Readonly<Record<string, string>> | undefined
  /** Label sets that are there from the start, at 0: the first value of a series is no increase to Prometheus. */
  readonly known?: readonly Readonly<Partial<Record<NamesOf<Event>, string>>>[] | undefined
  /** What one event adds. @default 1 */
  readonly amount?: ((event: Event) => number) | undefined
  /** Times that the event carries. */
  readonly times?: readonly TimedEvent<Event>[] | undefined
}

/** How a time in an event becomes a histogram. */
export interface TimedEvent<Event> {
  /** In the catalogue of metrics: `holdfast_<name>_seconds`. */
  readonly name: string
  readonly help: string
  /** As the labels of {@link CountedEvent}. */
  readonly labels?: readonly NamesOf<Event>[] | undefined
  /** In milliseconds; `undefined` where this event has none. */
  readonly ms: (event: Event) => number | undefined
}

export type CountedEvents = { readonly [Type in keyof EventCatalogue]?: CountedEvent<EventCatalogue[Type]> }

const transitions = { name: 'redis_transitions', help: 'Changes of the state of Redis, by the state entered.' }

/** Knows features by the types of their events alone; a row for an event that nobody emits counts nothing. */
export const COUNTED: CountedEvents = {
  up: { ...transitions, constant: { to: 'up' } },
  recovered: { ...transitions, constant: { to: 'up' } },
  down: { ...transitions, constant: { to: 'down' } },
  degraded: { ...transitions, constant: { to: 'degraded' } },
  warning: { name: 'warnings', help: 'Warnings to the operator, each code once.', labels: ['code'] },
  'data.corrupt': {
    name: 'data_corrupt',
    help: 'Values in Redis that could not be read and were treated as absent.',
    labels: ['feature'],
  },
  cache: {
    name: 'cache_requests',
    help: 'Values asked of a cache, by how they were answered.',
    labels: ['namespace', 'outcome', 'tier'],
  },
  'cache.refresh-failed': {
    name: 'cache_refresh_failures',
    help: 'Renewals in the background that failed.',
    labels: ['namespace'],
  },
  'response-cache': {
    name: 'response_cache_requests',
    help: 'Requests through a response cache, by how they were answered.',
    labels: ['outcome', 'reason'],
    known: [{ outcome: 'hit' }, { outcome: 'miss' }],
  },
  'limit.decided': {
    name: 'limit_decisions',
    help: 'Requests that limiters decided, by outcome and by who decided.',
    labels: ['limiter', 'outcome', 'source', 'shadow'],
  },
  'limit.exceeded': {
    name: 'limit_exceeded',
    help: 'Requests above a limit.',
    labels: ['limiter', 'policy', 'blocked', 'shadow'],
    // Refusals between two events, made without asking Redis, are in the later one.
    amount: ({ repeated }) => 1 + repeated,
  },
  'limit.degraded': {
    name: 'limit_degraded',
    help: 'Outages during which limits were not decided by Redis.',
    labels: ['limiter', 'reason', 'onUnavailable'],
  },
  'session.loaded': { name: 'sessions_loaded', help: 'Sessions asked for, by what was found.', labels: ['outcome'] },
  'session.touched': { name: 'sessions_touched', help: 'Sessions whose idle time a read has restarted.' },
  'session.created': { name: 'sessions_created', help: 'Sessions begun.' },
  'session.renewed': { name: 'sessions_renewed', help: 'Sessions given a new id.' },
  'session.destroyed': { name: 'sessions_destroyed', help: 'Sessions ended, by reason.', labels: ['reason'] },
  'session.unavailable': {
    name: 'session_unavailable',
    help: 'Sessions that could not be loaded or stored.',
    labels: ['operation', 'reason'],
  },
  'session.rejected': { name: 'session_rejected', help: 'Session cookies refused.', labels: ['reason'] },
  'session.dropped': { name: 'session_writes_dropped', help: 'Session writes not kept.', labels: ['reason'] },
  'session.conflict': { name: 'session_conflicts', help: 'Session keys changed by parallel requests.' },
  'security.event': { name: 'security_events', help: 'Security events.', labels: ['event', 'level'] },
  'security.dropped': {
    name: 'security_events_dropped',
    help: 'Security events that are in the local sink only.',
    amount: ({ dropped }) => Object.values(dropped).reduce((sum, count) => sum + count, 0),
  },
  'security.alert': {
    name: 'security_alerts',
    help: 'What detectors found.',
    labels: ['detector', 'enforced'],
  },
  lock: {
    name: 'lock_outcomes',
    help: 'Locks taken, extended, given back and lost, and attempts that failed.',
    labels: ['outcome', 'reason'],
    known: ['expired', 'max-hold', 'gone', 'released', 'closed'].map((reason) => ({ outcome: 'lost', reason })),
    times: [
      {
        name: 'lock_wait',
        help: 'Time spent waiting for locks, by how that ended.',
        labels: ['outcome'],
        ms: (event) => ('waitedMs' in event ? event.waitedMs : undefined),
      },
      {
        name: 'lock_hold',
        help: 'Time for which locks were held, by how that ended.',
        labels: ['outcome'],
        ms: (event) => ('heldMs' in event ? event.heldMs : undefined),
      },
    ],
  },
  'notifications.stream': {
    name: 'notification_streams',
    help: 'Event streams opened, closed, refused and interrupted.',
    labels: ['type', 'reason'],
  },
  'pubsub.invalid': { name: 'pubsub_invalid_messages', help: 'Messages that were not given to their handler.' },
  'pubsub.gap': { name: 'pubsub_gaps', help: 'Interruptions during which messages may have been missed.' },
  'queue.job': {
    name: 'queue_attempts',
    help: 'Attempts at jobs, by how they ended.',
    labels: ['queue', 'outcome'],
    times: [
      {
        name: 'queue_attempt_duration',
        help: 'Duration of attempts at jobs, by how they ended.',
        labels: ['queue', 'outcome'],
        // 0 where it is not known.
        ms: ({ durationMs }) => durationMs || undefined,
      },
    ],
  },
  'queue.lost': {
    name: 'queue_jobs_lost',
    help: 'Jobs that waited for Redis in a process that ended.',
    labels: ['queue'],
    amount: ({ jobs }) => jobs,
  },
  leaderboard: {
    name: 'leaderboard_operations',
    help: 'Calls to leaderboards, by what became of them.',
    labels: ['board', 'operation', 'outcome'],
    times: [
      {
        name: 'leaderboard_operation_duration',
        help: 'Duration of calls to leaderboards.',
        labels: ['operation'],
        ms: ({ durationMs }) => durationMs,
      },
    ],
  },
  preferences: {
    name: 'preferences_operations',
    help: 'Calls to preferences, by what became of them.',
    labels: ['name', 'operation', 'outcome'],
    times: [
      {
        name: 'preferences_operation_duration',
        help: 'Duration of calls to preferences.',
        labels: ['operation', 'outcome'],
        ms: ({ durationMs }) => durationMs,
      },
    ],
  },
  'usage.written': {
    name: 'usage_calls',
    help: 'Calls whose usage was written to Redis; late ones are sent again, and counted once there.',
    labels: ['outcome'],
    amount: ({ calls }) => calls,
    times: [
      {
        name: 'usage_write_duration',
        help: 'Duration of writes of usage.',
        labels: ['outcome'],
        ms: ({ durationMs }) => durationMs,
      },
    ],
  },
  'usage.dropped': {
    name: 'usage_calls_dropped',
    help: 'Calls that could not be kept until Redis returned.',
    amount: ({ calls }) => calls,
  },
  'monitor.alert': {
    name: 'monitor_alerts',
    help: 'Alerts raised by the monitor.',
    labels: ['condition'],
    known: CONDITIONS.map((condition) => ({ condition })),
  },
  'upkeep.run': { name: 'upkeep_runs', help: 'Runs of upkeep tasks.', labels: ['task', 'outcome'] },
}
