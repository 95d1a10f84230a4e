import { isAscii } from 'node:buffer'
import type { Entry } from '../cache/entry.js'
import type { Decoded } from '../cache/store.js'
import { Memo } from '../shared/memo.js'
import { divided, type Encoded, PLAIN, partsOf } from './encoded.js'
import { type Prepared, prepare } from './prepared.js'
import { decodeStored, type Stored, type StoredHead } from './stored.js'

/** A response as every hit uses it. */
export interface Kept {
  readonly stored: DecodedHead
  readonly body: Buffer
  /** A short body of ASCII, which Node sends together with the head, in one piece. */
  readonly text: string | undefined
  /** Where it may be kept in encodings. */
  readonly encoded: Encoded | undefined
  /** When it was made, and until when it is fresh; ms since the epoch. */
  readonly createdAt: number
  readonly freshUntil: number
  readonly staleUntil: number
}

/** What the metadata of an entry says. */
export type DecodedHead =
  | {
      readonly kind: 'response'
      readonly head: StoredHead
      readonly prepared: Prepared
      readonly parts: ReturnType<typeof partsOf> | undefined
    }
  | { readonly kind: 'variants'; readonly names: readonly string[] }

/** Longer ones are sent without being copied. */
const MAX_TEXT = 8192

/** Makes of entries what hits use. Heads are few texts, each read once. */
export class Heads {
  readonly #known = new Memo<DecodedHead>(200, 2048)

  decode({ metadata, body, createdAt, freshUntil, staleUntil }: Entry, kept: boolean): Decoded<Kept> | undefined {
    const stored = this.#read(metadata)
    if (stored === undefined) return undefined
    // The reply is a slice of a larger buffer, which a copy that is kept would keep alive.
    const own = kept ? Buffer.from(body) : body
    const parts = stored.kind === 'response' ? stored.parts : undefined
    const encoded = parts === undefined ? undefined : divided(own, parts)
    const plain = parts === undefined ? own : encoded?.get(PLAIN)?.body
    if (plain === undefined) return undefined
    const text = plain.length <= MAX_TEXT && isAscii(plain) ? plain.toString('latin1') : undefined
    const value = { stored, body: plain, text, encoded, createdAt, freshUntil, staleUntil }
    return { value, bytes: body.length + (text?.length ?? 0) + metadata.length }
  }

  #read(metadata: Buffer): DecodedHead | undefined {
    const text = metadata.toString('latin1')
    const known = this.#known.get(text)
    if (known !== undefined) return known
    const stored = decodeStored(metadata)
    if (stored === undefined) return undefined
    const head = stored.kind === 'variants' ? stored : withPrepared(stored)
    this.#known.set(text, head)
    return head
  }
}

function withPrepared({ kind, head }: Extract<Stored, { kind: 'response' }>): DecodedHead {
  const { headers, removed, encodings } = head
  const parts = encodings === undefined ? undefined : partsOf(head, encodings)
  return { kind, head, prepared: prepare(headers, removed, parts !== undefined), parts }
}
