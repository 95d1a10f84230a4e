import { freezeDeep } from './freeze.js'
import type { Decoded } from './store.js'

/** A value as it is handed out: plain data frozen and shared, anything else a copy for each taker. */
export interface Held {
  /** Milliseconds its computation took. */
  readonly costMs: number
  take(): unknown
  /** As {@link take}, for the only one who ever takes it. */
  takeOnce(): unknown
}

class Plain implements Held {
  readonly costMs: number
  readonly #value: unknown

  constructor(value: unknown, costMs: number) {
    this.#value = value
    this.costMs = costMs
  }

  take(): unknown {
    return this.#value
  }

  takeOnce(): unknown {
    return this.#value
  }
}

class Bytes implements Held {
  readonly costMs: number
  readonly #bytes: Buffer
  readonly #shared: boolean

  constructor(bytes: Buffer, costMs: number, shared: boolean) {
    this.#bytes = bytes
    this.costMs = costMs
    this.#shared = shared
  }

  take(): unknown {
    return Buffer.from(this.#bytes)
  }

  takeOnce(): unknown {
    // A small slice would keep the whole reply alive for as long as the caller has it.
    const lone = !this.#shared && 2 * this.#bytes.length >= this.#bytes.buffer.byteLength
    return lone ? this.#bytes : this.take()
  }
}

class Encoded implements Held {
  readonly costMs: number
  readonly #take: () => unknown

  constructor(take: () => unknown, costMs: number) {
    this.#take = take
    this.costMs = costMs
  }

  take(): unknown {
    return this.#take()
  }

  takeOnce(): unknown {
    return this.#take()
  }
}

/** What was returned and is not stored: nobody else is given it later. */
export function passing(value: unknown): Held {
  return new Plain(value, 0)
}

/** `kept`: the result must not hold on to the memory of `body`. */
export function heldBytes(body: Buffer, costMs: number, kept: boolean): Decoded<Held> {
  return { value: new Bytes(kept ? copyOf(body) : body, costMs, kept), bytes: body.length }
}

/** Throws what `decode` throws. */
export function heldValue(
  decode: (bytes: Buffer) => unknown,
  body: Buffer,
  costMs: number,
  kept: boolean,
): Decoded<Held> {
  const value = decode(body)
  const size = freezeDeep(value)
  if (size !== undefined) return { value: new Plain(value, costMs), bytes: size }
  const bytes = kept ? copyOf(body) : body
  return { value: new Encoded(() => decode(bytes), costMs), bytes: bytes.length }
}

/** Not from Node's pool, which a small slice would keep alive as a whole. */
export function copyOf(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  copy.set(bytes)
  return copy
}
