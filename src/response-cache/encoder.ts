import { promisify } from 'node:util'
import { brotliCompress, constants, gzip, type InputType } from 'node:zlib'
import type { Store } from '../cache/store.js'
import type { RedisManager } from '../redis/index.js'
import { Memo } from '../shared/memo.js'
import { Background } from './background.js'
import type { Sent } from './encoded.js'
import { acceptedEncodings, type Encoding } from './encodings.js'
import type { Found } from './found.js'
import { type Division, encodeStored } from './stored.js'

type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>

/** One for the process, as its pool of threads is. */
const background = new Background()

const NOTHING = Buffer.alloc(0)

/** Chooses among the encodings of a stored response, and has made what is missing, so that no hit compresses. */
export class Encoder {
  readonly #redis: RedisManager
  readonly #store: Store<unknown>
  readonly #accepted = new Memo<readonly Encoding[]>(200, 512)

  constructor(redis: RedisManager, store: Store<unknown>) {
    this.#redis = redis
    this.#store = store
  }

  choose(found: Found, requestHeaders: RequestHeaders, now: number): Sent {
    const { encoded, freshUntil } = found
    const header = requestHeaders['accept-encoding']
    // Parts are those of the plain body, whatever else its client accepts.
    if (encoded === undefined || header === undefined || requestHeaders.range !== undefined) return found
    let missing: Encoding | undefined
    let chosen: Sent = found
    for (const encoding of this.#acceptedBy(String(header))) {
      const sent = encoded.get(encoding)
      if (sent === undefined) missing ??= encoding
      else if (sent.body.length > 0) {
        chosen = sent
        break
      }
    }
    if (missing !== undefined && freshUntil > now) this.#make(missing, found)
    return chosen
  }

  #acceptedBy(header: string): readonly Encoding[] {
    let accepted = this.#accepted.get(header)
    if (accepted === undefined) {
      accepted = acceptedEncodings(header)
      this.#accepted.set(header, accepted)
    }
    return accepted
  }

  #make(encoding: Encoding, { key, head, body, birth, freshUntil, staleUntil }: Found): void {
    // One encoding of an entry after the other: each is put behind the one before.
    background.offer(this.#store.entryKey(key), async () => {
      if (!this.#redis.available) return false
      const made = await compressed(encoding, body)
      const kept = made.length <= 0.9 * body.length ? made : NOTHING
      const { encodings: before = [] } = head
      const encodings: Division = [...before, [encoding, kept.length]]
      const metadata = encodeStored({ kind: 'response', head })
      const bodyLength = before.reduce((sum, [, bytes]) => sum + bytes, 0)
      const seen = { flags: 0, createdAt: birth, freshUntil, staleUntil, metadata, bodyLength }
      return this.#store.append(key, seen, encodeStored({ kind: 'response', head: { ...head, encodings } }), kept)
    })
  }
}

function compressed(encoding: Encoding, body: Buffer): Promise<Buffer> {
  if (encoding === 'gzip') return promisify(gzip)(body)
  const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_SIZE_HINT } = constants
  // 11, the default, is for files: it takes many times as long.
  const params = { [BROTLI_PARAM_QUALITY]: 6, [BROTLI_PARAM_SIZE_HINT]: body.length }
  return promisify<InputType, { params: typeof params }, Buffer>(brotliCompress)(body, { params })
}
