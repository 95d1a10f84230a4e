import type { Mark, Snapshot, Store } from '../cache/store.js'
import type { Refusal } from './policy.js'

/** `stored`: the resource's key now holds the answer, or which variants there are. */
export type Settle = (refused: Refusal | undefined, stored?: boolean) => void

export type Entered =
  /** This request runs the handler. `settle` once it is known what becomes of its answer. */
  | { readonly state: 'lead'; readonly snapshot: Snapshot; readonly settle: Settle }
  /** Another request has answered meanwhile, or has given up: look again. */
  | { readonly state: 'again' }
  /** Another request is at it, and what is stored may be served until it is done. */
  | { readonly state: 'busy' }
  | { readonly state: 'away' }

export interface EnterOptions {
  readonly alone: boolean
  readonly behind: boolean
  /** For whoever needs no lease, where the read has brought one along. */
  readonly snapshot: Snapshot | undefined
}

export interface Turn {
  /** This request has waited for another. */
  readonly waited: boolean
  enter(key: string, seen: Mark, how: EnterOptions): Promise<Entered>
}

export interface CoalescingOptions {
  /** Longest time that a request waits for another, and that one holds the right to answer. */
  readonly waitMs: number
  readonly tagLifetimeMs: number
}

/** How long it is remembered that answers to a resource are not stored, so that nobody waits for them. */
const REMEMBERED_MS = 10_000
const MAX_REMEMBERED = 10_000
/** About this one answer, not about the resource. */
const PASSING: ReadonlySet<Refusal> = new Set(['aborted', 'length', 'replaced'])

/** Lets one request of all processes run the handler for a resource; the others wait for what it stores. */
export class Coalescing {
  readonly #store: Store<unknown>
  readonly #options: CoalescingOptions
  /** Hit-for-miss: resources whose answers were not stored, and until when that is believed. */
  readonly #unstorable = new Map<string, number>()

  constructor(store: Store<unknown>, options: CoalescingOptions) {
    this.#store = store
    this.#options = options
  }

  turn(resource: string, tags: readonly string[]): Turn {
    const { waitMs, tagLifetimeMs } = this.#options
    const store = this.#store
    const deadline = performance.now() + waitMs
    let changes = 0
    let waited = false

    const lead = async (read: Snapshot | undefined): Promise<Entered> => {
      const snapshot = read ?? (await store.snapshot(tags, tagLifetimeMs))
      if (snapshot === undefined) return { state: 'away' }
      return { state: 'lead', snapshot, settle: (refused) => this.#learn(resource, refused) }
    }
    const begin = (key: string, seen: Mark) =>
      store.begin(key, { tags, lifetimeMs: tagLifetimeMs, leaseMs: waitMs, seen })

    const enter: Turn['enter'] = async (key, seen, { alone, behind, snapshot: read }) => {
      const remaining = deadline - performance.now()
      if (alone || changes > 3 || remaining <= 0 || this.isUnstorable(resource)) return lead(read)
      let begun = await begin(key, seen)
      if (begun.state === 'busy' && behind) return { state: 'busy' }
      if (begun.state === 'busy') {
        // Whose holder has died ends untold.
        const waking = store.bus.wake(store.entryKey(key), Math.min(remaining, begun.leaseLeftMs + 1))
        await waking.listening
        // Asked again, now that its end will be heard.
        begun = await begin(key, seen)
        if (begun.state === 'busy') {
          await waking.woken
          waited = true
          return { state: 'again' }
        }
        waking.cancel()
      }
      if (begun.state === 'away') return { state: 'away' }
      if (begun.state === 'changed') {
        changes++
        return { state: 'again' }
      }
      const { token, snapshot } = begun as Extract<typeof begun, { state: 'leading' }>
      let settled = false
      const settle: Settle = (refused, stored) => {
        this.#learn(resource, refused)
        if (settled) return
        settled = true
        // What was stored under this very key has ended the lease.
        if (stored !== true || key !== resource) void store.release(key, token)
      }
      return { state: 'lead', snapshot, settle }
    }
    return {
      enter,
      get waited() {
        return waited
      },
    }
  }

  /** Answers to the resource are not stored, as this process has seen. */
  isUnstorable(resource: string): boolean {
    const until = this.#unstorable.get(resource)
    if (until === undefined) return false
    if (until > Date.now()) return true
    this.#unstorable.delete(resource)
    return false
  }

  #learn(resource: string, refused: Refusal | undefined): void {
    if (refused === undefined) {
      this.#unstorable.delete(resource)
      return
    }
    if (PASSING.has(refused)) return
    if (this.#unstorable.size >= MAX_REMEMBERED) {
      this.#unstorable.delete(this.#unstorable.keys().next().value as string)
    }
    this.#unstorable.set(resource, Date.now() + REMEMBERED_MS)
  }
}
