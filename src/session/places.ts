import type { Address } from './address.js'
import type { Place } from './codec.js'

export function placeOfData({ record, hash }: Address, version: number): Place {
  return { record, hash, kind: 'data', version }
}

export function placeOfFacts({ record, hash }: Address): Place {
  return { record, hash, kind: 'meta', version: 0 }
}

/** Fields outlive a new id of the session, so what they are bound to is its user. */
export function placeOfField({ tag }: Address, name: string): Place {
  return { record: tag, hash: tag, kind: name, version: 0 }
}

/** Of a field of the record's HASH; undefined for those that are not sealed. */
export function placeIn(address: Address, name: string, version: number): Place | undefined {
  if (name === 'd') return placeOfData(address, version)
  if (name === 'm') return placeOfFacts(address)
  return name.startsWith('f:') ? placeOfField(address, name) : undefined
}
