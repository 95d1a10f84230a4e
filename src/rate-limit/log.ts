import type { Policy } from './policy.js'

/** What a log says: points used, ms until a cost fits (0: it does), ms until any used point is free again. */
export interface Look {
  readonly used: number
  readonly wait: number
  readonly free: number
}

/**
 * The record of one policy in this process, with the rules of the script in Redis: buckets count in full until their
 * last millisecond has left the window.
 */
export class Log {
  /** Bucket ids, or for GCRA the theoretical arrival time. */
  #ids: number[] = []
  #points: number[] = []
  #total = 0

  look(policy: Policy, cost: number, now: number): Look {
    const { kind, limit, windowMs } = policy
    if (kind === 2) return this.#arrival(policy, cost, now)
    this.#sweep(policy, now)
    const used = this.#total
    const free = this.#ids.length === 0 ? 0 : ends(policy, this.#ids[0] as number) - now
    let excess = used + cost - limit
    if (excess <= 0 || cost === 0) return { used, wait: 0, free }
    if (cost > limit) return { used, wait: Math.max(windowMs, free), free }
    let wait = free
    for (let index = 0; excess > 0 && index < this.#ids.length; index++) {
      excess -= this.#points[index] as number
      wait = ends(policy, this.#ids[index] as number) - now
    }
    return { used, wait, free }
  }

  charge(policy: Policy, cost: number, now: number): void {
    if (cost === 0) return
    if (policy.kind === 2) {
      this.#ids = [Math.max(this.#ids[0] ?? 0, now) + cost * (policy.windowMs / policy.limit)]
      return
    }
    const id = Math.floor(now / policy.quantumMs)
    const last = this.#ids.length - 1
    this.#total += cost
    if (last >= 0 && (policy.kind === 1 || (this.#ids[last] as number) >= id)) {
      this.#points[last] = (this.#points[last] as number) + cost
    } else {
      this.#ids.push(id)
      this.#points.push(cost)
    }
  }

  /** Gives back what was charged at `at`, or where that is 0 what was charged last. */
  refund(policy: Policy, cost: number, at: number): void {
    if (policy.kind === 2) {
      if (this.#ids.length > 0) this.#ids = [(this.#ids[0] as number) - cost * (policy.windowMs / policy.limit)]
      return
    }
    const id = Math.floor(at / policy.quantumMs)
    for (let index = this.#ids.length - 1; index >= 0 && cost > 0; index--) {
      const entry = this.#ids[index] as number
      if (at !== 0 && entry !== id && !(policy.kind === 1 && entry <= id)) continue
      const back = Math.min(cost, this.#points[index] as number)
      cost -= back
      this.#total -= back
      const rest = (this.#points[index] as number) - back
      if (rest > 0) this.#points[index] = rest
      else {
        this.#ids.splice(index, 1)
        this.#points.splice(index, 1)
      }
      if (at !== 0) return
    }
  }

  #sweep(policy: Policy, now: number): void {
    let gone = 0
    while (gone < this.#ids.length && ends(policy, this.#ids[gone] as number) <= now) {
      this.#total -= this.#points[gone] as number
      gone++
    }
    if (gone === 0) return
    this.#ids = this.#ids.slice(gone)
    this.#points = this.#points.slice(gone)
  }

  #arrival({ limit, windowMs }: Policy, cost: number, now: number): Look {
    const step = windowMs / limit
    const ahead = Math.min(Math.max((this.#ids[0] ?? 0) - now, 0), windowMs)
    const used = Math.max(0, Math.ceil(ahead / step - 1e-6))
    const wait = cost > limit ? windowMs : Math.max(0, Math.ceil(ahead + cost * step - windowMs - 1e-6))
    return { used, wait, free: used > 0 ? Math.max(1, Math.ceil(ahead - (used - 1) * step)) : 0 }
  }
}

function ends({ quantumMs, windowMs }: Policy, id: number): number {
  return (id + 1) * quantumMs + windowMs
}
