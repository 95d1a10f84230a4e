/** The user that Passport stored in a session. */
export function userOfPassport(session: object): string | undefined {
  const user: unknown = (session as { passport?: { user?: unknown } }).passport?.user
  const id: unknown = typeof user === 'object' && user !== null ? (user as { id?: unknown }).id : user
  return (typeof id === 'string' && id !== '') || typeof id === 'number' ? String(id) : undefined
}

/** The token of an `Authorization: Bearer` header (RFC 6750 §2.1). */
export function bearerToken(header: string | undefined): string | undefined {
  return header === undefined ? undefined : /^Bearer +([\w.~+/-]+=*)$/i.exec(header)?.[1]
}
