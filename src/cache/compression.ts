import { promisify } from 'node:util'
import * as zlib from 'node:zlib'

export type CompressionAlgorithm = 'gzip' | 'brotli' | 'zstd'

export interface Compression {
  readonly algorithm: CompressionAlgorithm
  /** Shorter bodies are stored as they are, in bytes. */
  readonly threshold: number
}

type Squeeze = (bytes: Uint8Array) => Promise<Buffer>
type Inflate = (bytes: Uint8Array, options: { maxOutputLength: number }) => Promise<Buffer>

interface Algorithm {
  readonly bits: number
  readonly squeeze: Squeeze
  readonly inflate: Inflate
}

/** zstd came with Node 22.15 and 23.8. */
const modern = zlib as unknown as { zstdCompress?: typeof zlib.gzip; zstdDecompress?: typeof zlib.gunzip }

const ALGORITHMS: Readonly<Record<CompressionAlgorithm, Algorithm | undefined>> = {
  gzip: { bits: 0x10, squeeze: promisify(zlib.gzip) as Squeeze, inflate: promisify(zlib.gunzip) as Inflate },
  brotli: {
    bits: 0x20,
    squeeze: (bytes) =>
      (promisify(zlib.brotliCompress) as (bytes: Uint8Array, options: zlib.BrotliOptions) => Promise<Buffer>)(bytes, {
        // The default, 11, is for files that are compressed once.
        params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 },
      }),
    inflate: promisify(zlib.brotliDecompress) as Inflate,
  },
  zstd:
    modern.zstdCompress === undefined || modern.zstdDecompress === undefined
      ? undefined
      : {
          bits: 0x30,
          squeeze: promisify(modern.zstdCompress) as Squeeze,
          inflate: promisify(modern.zstdDecompress) as Inflate,
        },
}

const MASK = 0x30

export function isSupported(algorithm: CompressionAlgorithm): boolean {
  return ALGORITHMS[algorithm] !== undefined
}

/** The body and the bits that say how it is compressed; as it is where that is no shorter. */
export async function compress(
  body: Buffer,
  { algorithm, threshold }: Compression,
): Promise<{ bits: number; body: Buffer }> {
  const chosen = ALGORITHMS[algorithm]
  if (chosen === undefined || body.length < threshold) return { bits: 0, body }
  const squeezed = await chosen.squeeze(body)
  return squeezed.length < body.length ? { bits: chosen.bits, body: squeezed } : { bits: 0, body }
}

export function isCompressed(flags: number): boolean {
  return (flags & MASK) !== 0
}

/** Rejects for bytes that are not of that algorithm, and above `maxBytes`. */
export async function decompress(flags: number, body: Buffer, maxBytes: number): Promise<Buffer> {
  const chosen = Object.values(ALGORITHMS).find((each) => each?.bits === (flags & MASK))
  if (chosen === undefined) throw new Error('compressed by an algorithm this Node does not have')
  return chosen.inflate(body, { maxOutputLength: maxBytes })
}
