import type { Awaitable } from '../shared/awaitable.js'
import { type CacheCodec, jsonCodec, v8Codec } from './codec.js'
import { type Compression, compress, decompress, isCompressed } from './compression.js'
import type { Entry } from './entry.js'
import { copyOf, type Held, heldBytes, heldValue } from './held.js'
import type { Decoded } from './store.js'

export type { Held } from './held.js'

export interface ValuesOptions {
  readonly codec: 'json' | 'v8' | CacheCodec
  readonly compression: Compression | false
  readonly maxBytes: number
}

/** Bytes of an entry, not compressed yet. */
export interface Packed {
  readonly flags: number
  readonly metadata: Buffer
  readonly body: Buffer
}

const CODED = 1
/** Length of the cost, which is followed by the codec's name. */
const COST = 4
const NO_NAME: Buffer = Buffer.alloc(0)

/** Values to bytes and back. A Buffer stays the bytes it is, whatever the codec. */
export class Values {
  readonly #codec: CacheCodec
  readonly #name: Buffer
  readonly #decode: (bytes: Buffer) => unknown
  readonly #compression: Compression | false
  readonly #maxBytes: number

  constructor({ codec, compression, maxBytes }: ValuesOptions) {
    const chosen = codec === 'json' ? jsonCodec : codec === 'v8' ? v8Codec : codec
    this.#codec = chosen
    this.#name = Buffer.from(chosen.name)
    this.#decode = (bytes) => chosen.decode(bytes)
    this.#compression = compression
    this.#maxBytes = maxBytes
  }

  /** Throws a CacheValueError for what the codec cannot carry. `costMs`: what the computation took. */
  pack(value: unknown, costMs: number): Packed {
    const raw = value instanceof Uint8Array && (Buffer.isBuffer(value) || this.#codec === jsonCodec)
    const body = raw ? copyOf(value as Uint8Array) : asBuffer(this.#codec.encode(value))
    const name = raw ? NO_NAME : this.#name
    const metadata = Buffer.allocUnsafe(COST + name.length)
    metadata.writeUInt32BE(Math.min(Math.ceil(costMs), 0xffff_ffff), 0)
    metadata.set(name, COST)
    return { flags: raw ? 0 : CODED, metadata, body }
  }

  /** `undefined` for a body longer than allowed. */
  async squeeze(packed: Packed): Promise<Packed | undefined> {
    if (packed.body.length > this.#maxBytes) return undefined
    if (this.#compression === false) return packed
    const { bits, body } = await compress(packed.body, this.#compression)
    return { ...packed, flags: packed.flags | bits, body }
  }

  /** What later readers of the entry will be given, without the way through Redis. */
  hold({ flags, metadata, body }: Packed): Held {
    return this.#open(flags, body, metadata.readUInt32BE(0), true).value
  }

  decode({ flags, metadata, body }: Entry, kept: boolean): Awaitable<Decoded<Held> | undefined> {
    if (!hasAfterCost(metadata, (flags & CODED) === 0 ? NO_NAME : this.#name)) return undefined
    const costMs = metadata.readUInt32BE(0)
    if (!isCompressed(flags)) return this.#attempt(flags, body, costMs, kept)
    return decompress(flags, body, this.#maxBytes).then(
      (inflated) => this.#attempt(flags, inflated, costMs, kept),
      () => undefined,
    )
  }

  /** Bytes may be anybody's: what the codec throws is a miss. */
  #attempt(flags: number, body: Buffer, costMs: number, kept: boolean): Decoded<Held> | undefined {
    try {
      return this.#open(flags, body, costMs, kept)
    } catch {
      return undefined
    }
  }

  #open(flags: number, body: Buffer, costMs: number, kept: boolean): Decoded<Held> {
    return (flags & CODED) === 0 ? heldBytes(body, costMs, kept) : heldValue(this.#decode, body, costMs, kept)
  }
}

/** A call into Node's own code would cost more than the few bytes. */
function hasAfterCost(metadata: Buffer, name: Buffer): boolean {
  if (metadata.length !== COST + name.length) return false
  for (let at = 0; at < name.length; at++) if (metadata[COST + at] !== name[at]) return false
  return true
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
