import { type HeaderList, valuesOf } from './headers.js'
import { parseVary } from './vary.js'

/** A stored head as it is sent, worked out once for all hits. */
export interface Prepared {
  /** Name and value of those that are sent whatever this request's middlewares have set. */
  readonly plain: readonly (string | string[])[]
  /** Permissions that this request's own take the place of. */
  readonly cors: HeaderList
  readonly vary: readonly string[]
  readonly removed: readonly string[]
  readonly dated: boolean
  readonly etag: string | undefined
  readonly lastModified: string | undefined
  /** Kept in several encodings, of which a date does not tell one from another. */
  readonly divided: boolean
}

export function prepare(headers: HeaderList, removed: readonly string[] = [], divided: boolean = false): Prepared {
  const plain: (string | string[])[] = []
  const cors: HeaderList[number][] = []
  for (const header of headers) {
    const [name, value] = header
    const key = name.toLowerCase()
    if (key.startsWith('access-control-')) cors.push(header)
    else if (key !== 'vary') plain.push(name, value as string | string[])
  }
  return {
    plain,
    cors,
    vary: [...valuesOf(headers, 'vary'), ...(divided ? ['Accept-Encoding'] : [])],
    removed,
    dated: valuesOf(headers, 'date').length > 0,
    etag: valuesOf(headers, 'etag')[0],
    lastModified: valuesOf(headers, 'last-modified')[0],
    divided,
  }
}

/** `Vary` of a stored response beside what this request's middlewares have said. */
export function joinedVary(
  present: number | string | readonly string[] | undefined,
  stored: readonly string[],
): string {
  if (present === undefined && stored.length === 1) return stored[0] as string
  const names = parseVary([...(present === undefined ? [] : [present].flat().map(String)), ...stored])
  return names === '*' ? '*' : names.join(', ')
}
