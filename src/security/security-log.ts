import type { Duration } from '../shared/duration.js'
import type { ConsumeHandler, ConsumeOptions, Consumer } from './consume.js'
import type { Subject } from './detectors/detector.js'
import type { SecurityEvent, SecurityEventDetails } from './event.js'
import type { ExportFormat } from './export.js'
import type { SecurityPage, SecurityQuery } from './query.js'
import type { Restriction } from './restrictions.js'
import type { Verification, VerifyOptions } from './verify.js'
import type { EventAlias, OwaspEventType, OwnEventType } from './vocabulary.js'

export interface SecurityLogStats {
  /** Written to Redis by this process. */
  readonly written: number
  /** Waiting to be written. */
  readonly buffered: number
  readonly bufferedBytes: number
}

/** The security log without HTTP. */
export interface SecurityLog<Own extends OwnEventType = never> {
  /**
   * Records an event and returns its id at once: no promise, no round trip, never an error. It is in the local sink
   * when this returns and in Redis with the next batch, or once Redis is back.
   */
  record(type: OwaspEventType | EventAlias | Own, details?: SecurityEventDetails): string
  /** `record` for an event of a user. */
  logSecurityEvent(
    userId: string | number,
    type: OwaspEventType | EventAlias | Own,
    details?: SecurityEventDetails,
  ): string
  /** One page of what is in Redis, the latest first. Fails closed with RedisUnavailableError. */
  query(query?: SecurityQuery): Promise<SecurityPage>
  /** Everything that matches, the latest first, in bounded memory. Fails closed with RedisUnavailableError. */
  events(query?: Omit<SecurityQuery, 'limit' | 'cursor'>): AsyncGenerator<SecurityEvent, void, undefined>
  /** The latest events of a user, the newest first. Fails closed with RedisUnavailableError. */
  activity(userId: string | number, options?: { readonly limit?: number }): Promise<readonly SecurityEvent[]>
  /**
   * The lines of a file, everything that matches: for `Readable.from(...)`. CSV is safe to open in a spreadsheet.
   * Fails closed. @default format 'ndjson'
   */
  export(
    query?: Omit<SecurityQuery, 'limit' | 'cursor'> & { readonly format?: ExportFormat },
  ): AsyncGenerator<string, void, undefined>
  /** Gives every event to one member of the group, at least once: for a SIEM or an archive. Starts with the oldest. */
  consume(group: string, handler: ConsumeHandler, options?: ConsumeOptions): Consumer
  /** Looks for events in Redis that were altered, removed, reordered or forged; needs `integrity`. Fails closed. */
  verify(range?: VerifyOptions): Promise<Verification>
  /**
   * Removes the events of a user and what detectors remember of them; resolves to how many events there were. Local
   * sinks, exports and seals are yours to clean. Fails closed.
   */
  erase(userId: string | number): Promise<number>
  /** Removes what is past its retention, as happens by itself every few minutes; resolves to how much that was. */
  trim(): Promise<number>
  /** What is refused or slowed down now, by subject. */
  restrictions(): ReadonlyMap<string, Restriction>
  /** Ends a restriction in every process: the way back for whoever was refused by mistake. */
  lift(subject: Subject): Promise<boolean>
  /** True once everything recorded so far, and what detectors made of it, is in Redis; false where it is not within the time. @default '2s' */
  flush(within?: Duration): Promise<boolean>
  stats(): SecurityLogStats
  /** Writes what waits, for at most 2 s, and stops. Call it before `redis.close()`. Idempotent. */
  close(): Promise<void>
}
