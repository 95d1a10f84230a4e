import type { IncomingMessage } from 'node:http'
import type { Validators } from './conditional.js'
import { valuesOf } from './headers.js'
import type { StoredHead } from './stored.js'

/** Validators of a stored response that its handler knows: not the one this cache made. */
function validatorsOf({ ownEtag, headers }: Pick<StoredHead, 'ownEtag' | 'headers'>): Validators {
  return {
    etag: ownEtag ? undefined : valuesOf(headers, 'etag')[0],
    lastModified: valuesOf(headers, 'last-modified')[0],
  }
}

export function isValidatable(head: Pick<StoredHead, 'ownEtag' | 'headers'>): boolean {
  const { etag, lastModified } = validatorsOf(head)
  return etag !== undefined || lastModified !== undefined
}

const CONDITIONS = ['if-none-match', 'if-modified-since', 'if-range'] as const

/**
 * The handler is to make a whole response for everyone, or to confirm the stored one (RFC 9111 §4.3.1); whether this
 * client has it already is ours to say. Undone by the function returned.
 */
export function hideConditions(req: IncomingMessage, stored: StoredHead | undefined): () => void {
  const hidden = CONDITIONS.map((name) => [name, req.headers[name]] as const)
  const { etag, lastModified } = stored === undefined ? ({} as Partial<Validators>) : validatorsOf(stored)
  const set = (name: string, value: string | undefined): void => {
    if (value !== undefined) req.headers[name] = value
    else if (name in req.headers) delete req.headers[name]
  }
  for (const [name] of hidden) set(name, undefined)
  set('if-none-match', etag)
  set('if-modified-since', lastModified)
  return () => {
    for (const [name, value] of hidden) set(name, value as string | undefined)
  }
}
