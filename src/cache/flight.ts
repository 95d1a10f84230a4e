import type { Reading, Snapshot } from './store.js'
import type { Held } from './values.js'

/** Nothing came of it: look again. */
export const RETRY: unique symbol = Symbol('retry')

/** A computation of this process, from when it is wanted until its result is stored. */
export interface Flight {
  readonly promise: Promise<Held | typeof RETRY>
  /** The computation has begun, with what the data was then. */
  begunAt: number | undefined
  lease: string | undefined
  snapshot: Snapshot | undefined
  readonly epoch: number
}

/** The computations of this process, one per key: found by all who come while one lasts. */
export class Flights {
  readonly #flights = new Map<string, Flight>()

  get(entryKey: string): Flight | undefined {
    return this.#flights.get(entryKey)
  }

  has(entryKey: string): boolean {
    return this.#flights.has(entryKey)
  }

  start(
    entryKey: string,
    epoch: number,
    work: (flight: Flight) => Promise<Held | typeof RETRY>,
  ): Promise<Held | typeof RETRY> {
    const flight: Flight = {
      // Begun only once it can be found.
      promise: Promise.resolve()
        .then(() => work(flight))
        .finally(() => {
          if (this.#flights.get(entryKey) === flight) this.#flights.delete(entryKey)
        }),
      begunAt: undefined,
      lease: undefined,
      snapshot: undefined,
      epoch,
    }
    this.#flights.set(entryKey, flight)
    return flight.promise
  }
}

/** Whether a flight computes from data at least as new as the caller's arrival, as far as Redis could tell it. */
export function isCurrent(flight: Flight, reading: Reading<Held>, arrivedAt: number): boolean {
  if (flight.begunAt === undefined || flight.begunAt >= arrivedAt) return true
  if (reading.state === 'away' || flight.lease === undefined || reading.lease !== flight.lease) return false
  return flight.snapshot?.dependencies.every(({ name, version }) => reading.versions.get(name) === version) === true
}

/** What the promise resolves to, or `undefined` at the deadline. */
export function before<T>(deadline: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), Math.max(0, deadline - performance.now()))
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
