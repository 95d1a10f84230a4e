import { createHash, createHmac } from 'node:crypto'
import type { Duration } from '../shared/duration.js'
import type { StreamName } from './append.js'
import { sameText } from './digest.js'

export interface IntegrityKey {
  /** Named in every signature, so that keys can be replaced. Letters, digits, `_`, `-`. */
  readonly id: string
  /** At least 32 characters that whoever can write to Redis does not have. */
  readonly key: string
}

export interface IntegrityOptions {
  /** The first signs, all verify. */
  readonly keys: readonly IntegrityKey[]
  /** Receives a seal over everything this process wrote since the last one. Store it where Redis' writers cannot. */
  readonly onSeal?: ((seal: Seal) => unknown) | undefined
  /** @default '60s' */
  readonly sealEvery?: Duration | undefined
}

/** What one process wrote to one stream, up to a point: with it, events cut off the end are missed, too. */
export interface Seal {
  readonly producer: string
  readonly stream: StreamName
  /** First and last sequence number covered. */
  readonly from: number
  readonly to: number
  readonly at: string
  /** Over the signatures of the events covered, in order. */
  readonly digest: string
  /** Signature of the seal before, which chains them. */
  readonly previous: string
  readonly signature: string
}

/** What a signature covers besides the event itself. */
export interface Place {
  readonly producer: string
  readonly stream: StreamName
  readonly sequence: number
}

export interface Signer {
  sign(place: Place, json: string): string
  /** `unsigned`: none. `unknown`: with a key that is not here. */
  check(place: Place, json: string, signature: string): 'good' | 'bad' | 'unsigned' | 'unknown'
  signErasure(place: Place): string
  signSeal(seal: Omit<Seal, 'signature'>): string
  checkSeal(seal: Seal): boolean
}

/** HMAC-SHA256 per event: without order between processes, so nothing waits for anything. */
export function createSigner(keys: readonly IntegrityKey[]): Signer {
  const [active] = keys
  const byId = new Map(keys.map(({ id, key }) => [id, key]))
  const mac = (key: string, purpose: string, parts: readonly (string | number)[]): string =>
    createHmac('sha256', key)
      .update(JSON.stringify([purpose, ...parts]))
      .digest('base64url')
  const seal = (key: string, { producer, stream, from, to, at, digest, previous }: Omit<Seal, 'signature'>): string =>
    mac(key, 'seal', [producer, stream, from, to, at, digest, previous])
  const event = (key: string, { producer, stream, sequence }: Place, json: string): string =>
    mac(key, 'event', [producer, stream, sequence, json])
  const signed = (make: (key: string) => string): string =>
    active === undefined ? '' : `${active.id}.${make(active.key)}`
  const verify = (signature: string, make: (key: string) => string): 'good' | 'bad' | 'unsigned' | 'unknown' => {
    if (signature === '') return 'unsigned'
    const [id = '', value = ''] = signature.split('.')
    const key = byId.get(id)
    return key === undefined ? 'unknown' : sameText(make(key), value) ? 'good' : 'bad'
  }
  return {
    sign: (place, json) => signed((key) => event(key, place, json)),
    check: (place, json, signature) => verify(signature, (key) => event(key, place, json)),
    signErasure: ({ producer, stream, sequence }) => signed((key) => mac(key, 'erased', [producer, stream, sequence])),
    signSeal: (unsigned) => signed((key) => seal(key, unsigned)),
    checkSeal: ({ signature, ...rest }) => verify(signature, (key) => seal(key, rest)) === 'good',
  }
}

/** A digest over signatures in order, continued one by one. */
export function chain(digest: string, signature: string): string {
  return createHash('sha256').update(digest).update('\0').update(signature).digest('base64url')
}

/** Collects what one process writes to one stream and seals it. */
export class Sealer {
  readonly #signer: Signer
  readonly #place: Omit<Place, 'sequence'>
  #from = 0
  #next = 0
  #digest = ''
  #previous = ''

  constructor(signer: Signer, place: Omit<Place, 'sequence'>) {
    this.#signer = signer
    this.#place = place
  }

  add(signature: string): void {
    this.#digest = chain(this.#digest, signature)
    this.#next++
  }

  /** The seal over everything since the last, or `undefined` where there was nothing. */
  seal(at: Date): Seal | undefined {
    if (this.#next === this.#from) return undefined
    const unsigned = {
      ...this.#place,
      from: this.#from,
      to: this.#next - 1,
      at: at.toISOString(),
      digest: this.#digest,
      previous: this.#previous,
    }
    const signature = this.#signer.signSeal(unsigned)
    this.#from = this.#next
    this.#digest = ''
    this.#previous = signature
    return { ...unsigned, signature }
  }
}
