/** What is read of a request to name its route. */
export interface RoutedRequest {
  readonly baseUrl: string
  readonly route?: unknown
  readonly params?: unknown
}

/** Numbers, hexadecimal ids, ids with many digits, addresses, and what only an encoded or very long segment can be. */
const ID = /^(?:\d+|[0-9a-f-]{16,}|(?=(?:[^\d]*\d){3})[\w~.-]{16,}|.*[@%].*|.{65,})$/i

/**
 * The pattern of the route that answers, such as `/users/:id/orders`, so that ids in paths are no names of their own;
 * undefined where no route matched. Express gives the mount path of a router as it was asked for: segments that are the
 * value of a parameter (routers with `mergeParams`) get its name, and what looks like an id is `:id`.
 */
export function routePattern({ baseUrl, route, params }: RoutedRequest): string | undefined {
  const path = (route as { readonly path?: unknown } | undefined)?.path
  if (typeof path !== 'string') return undefined
  if (baseUrl === '') return path
  // Its own parameters may have any value, also that of a segment before it.
  const above = Object.entries(params ?? {}).filter(([name]) => !path.includes(`:${name}`))
  const names = new Map(above.map(([name, value]) => [value, name]))
  const mounted = baseUrl.split('/').map((segment) => {
    const name = names.get(segment) ?? names.get(decoded(segment))
    if (name !== undefined) return `:${name}`
    return ID.test(segment) ? ':id' : segment
  })
  return `${mounted.join('/')}${path}`
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
