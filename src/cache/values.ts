import { type CacheCodec, jsonCodec, v8Codec } from './codec.js'
import { type Compression, compress, decompress, isCompressed } from './compression.js'
import type { Entry } from './entry.js'
import { freezeDeep } from './freeze.js'
import type { Decoded } from './store.js'

/** A value as it is handed out: plain data frozen and shared, anything else a copy for each taker. */
export interface Held {
  readonly take: () => unknown
}

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

/** Values to bytes and back. A Buffer stays the bytes it is, whatever the codec. */
export class Values {
  readonly #codec: CacheCodec
  readonly #compression: Compression | false
  readonly #maxBytes: number

  constructor({ codec, compression, maxBytes }: ValuesOptions) {
    this.#codec = codec === 'json' ? jsonCodec : codec === 'v8' ? v8Codec : codec
    this.#compression = compression
    this.#maxBytes = maxBytes
  }

  /** Throws a CacheValueError for what the codec cannot carry. `costMs`: what the computation took. */
  pack(value: unknown, costMs: number): Packed {
    const raw = value instanceof Uint8Array && (Buffer.isBuffer(value) || this.#codec === jsonCodec)
    const body = raw ? copyOf(value as Uint8Array) : asBuffer(this.#codec.encode(value))
    const name = raw ? '' : this.#codec.name
    const metadata = Buffer.allocUnsafe(4 + Buffer.byteLength(name))
    metadata.writeUInt32BE(Math.min(Math.ceil(costMs), 0xffff_ffff), 0)
    metadata.write(name, 4)
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
  hold({ flags, body }: Packed): Held {
    return this.#open(flags, body).value
  }

  decode(entry: Entry): Decoded<Held> | undefined | Promise<Decoded<Held> | undefined> {
    const { flags, metadata, body } = entry
    const coded = (flags & CODED) !== 0
    const name = metadata.length < 4 ? undefined : metadata.toString('utf8', 4)
    if (name !== (coded ? this.#codec.name : '')) return undefined
    if (!isCompressed(flags)) return this.#attempt(flags, body)
    return decompress(flags, body, this.#maxBytes).then(
      (inflated) => this.#attempt(flags, inflated),
      () => undefined,
    )
  }

  /** Bytes may be anybody's: what the codec throws is a miss. */
  #attempt(flags: number, body: Buffer): Decoded<Held> | undefined {
    try {
      return this.#open(flags, body)
    } catch {
      return undefined
    }
  }

  #open(flags: number, body: Buffer): Decoded<Held> {
    if ((flags & CODED) === 0) {
      // A copy of the reply, which is a slice of a far larger buffer, and a copy of that for each taker.
      const bytes = copyOf(body)
      return { value: { take: () => copyOf(bytes) }, bytes: bytes.length }
    }
    const value = this.#codec.decode(body)
    const frozen = freezeDeep(value)
    if (frozen !== undefined) return { value: { take: () => value }, bytes: frozen.bytes }
    const bytes = copyOf(body)
    return { value: { take: () => this.#codec.decode(bytes) }, bytes: bytes.length }
  }
}

/** Milliseconds the computation of an entry took. */
export function costOf(metadata: Buffer): number {
  return metadata.length < 4 ? 0 : metadata.readUInt32BE(0)
}

function copyOf(bytes: Uint8Array): Buffer {
  // Not from Node's pool, which a small slice would keep alive as a whole.
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  copy.set(bytes)
  return copy
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
