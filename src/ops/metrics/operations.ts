import type { RedisCall } from '../../redis/index.js'
import { Histogram, type TimeStats } from './histogram.js'

/** Counts and times of one operation. Times are of the calls that were made: a refused one took none. */
export interface OperationStats extends TimeStats {
  readonly calls: number
  readonly ok: number
  readonly errors: number
  readonly timeouts: number
  /** Answered by the fallback without asking Redis. */
  readonly refused: number
  /** ok ÷ calls, from 0 to 1. */
  readonly successRate: number
}

export type OperationOutcome = RedisCall['outcome']

export class Operation {
  ok = 0
  error = 0
  timeout = 0
  refused = 0
  readonly times: Histogram = new Histogram()

  record(outcome: OperationOutcome, ms: number): void {
    this[outcome]++
    if (outcome !== 'refused') this.times.record(ms)
  }

  add(other: Operation): void {
    this.ok += other.ok
    this.error += other.error
    this.timeout += other.timeout
    this.refused += other.refused
    this.times.add(other.times)
  }

  stats(): OperationStats {
    const { ok, error, timeout, refused, times } = this
    const calls = ok + error + timeout + refused
    return {
      calls,
      ok,
      errors: error,
      timeouts: timeout,
      refused,
      successRate: calls === 0 ? 1 : ok / calls,
      ...times.stats(),
    }
  }
}

/** Stands for every name after the first few hundred, and for names too long to be one. */
export const OTHER = 'other'
const MAX_NAME = 100

/**
 * Operations by name. Names come from code; should one ever be built from a request, what is beyond `max` of them is
 * counted together, so that memory and label sets stay bounded.
 */
export class Operations {
  /** Calls counted under {@link OTHER} for want of room. */
  overflow = 0
  readonly byName: Map<string, Operation> = new Map()
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  record(name: string, outcome: OperationOutcome, ms: number): void {
    this.of(name).record(outcome, ms)
  }

  of(name: string): Operation {
    const known = this.byName.get(name)
    if (known !== undefined) return known
    if (name.length <= MAX_NAME && this.byName.size < this.#max) return this.#put(name)
    this.overflow++
    return this.byName.get(OTHER) ?? this.#put(OTHER)
  }

  stats(): Record<string, OperationStats> {
    return Object.fromEntries([...this.byName].map(([name, operation]) => [name, operation.stats()]))
  }

  #put(name: string): Operation {
    const made = new Operation()
    this.byName.set(name, made)
    return made
  }
}
