import { httpDate } from './conditional.js'

type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>

export type Slice =
  | { readonly kind: 'whole' }
  /** Bytes from `start` to `end`, both included. */
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' }

/**
 * Which part of a stored 200 a request wants (RFC 9110 §14.2). What is not one range of bytes in the right form is
 * answered whole, as is a range that depends on another state of the resource (§13.1.5).
 */
export function sliceOf(
  headers: RequestHeaders,
  length: number,
  { etag, lastModified }: { readonly etag: string | undefined; readonly lastModified: string | undefined },
): Slice {
  const match = /^bytes=(\d*)-(\d*)$/i.exec(String(headers.range ?? '').trim())
  const [, first = '', last = ''] = match ?? []
  if (match === null || (first === '' && last === '')) return { kind: 'whole' }
  const condition = headers['if-range']
  if (condition !== undefined && !isSame(String(condition), etag, lastModified)) return { kind: 'whole' }
  if (first === '') {
    const suffix = Math.min(Number(last), length)
    return suffix === 0 ? { kind: 'unsatisfiable' } : { kind: 'part', start: length - suffix, end: length - 1 }
  }
  const start = Number(first)
  const end = last === '' ? length - 1 : Math.min(Number(last), length - 1)
  if (last !== '' && Number(last) < start) return { kind: 'whole' }
  return start >= length ? { kind: 'unsatisfiable' } : { kind: 'part', start, end }
}

/** Strong comparison: parts of two representations that are only equivalent do not fit together. */
function isSame(condition: string, etag: string | undefined, lastModified: string | undefined): boolean {
  if (condition.startsWith('"')) return condition === etag
  return lastModified !== undefined && condition === lastModified && !Number.isNaN(httpDate(lastModified))
}
