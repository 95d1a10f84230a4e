/**
 * One spelling of an account's name, so that no variant gives fresh attempts; `undefined` where the client sent none.
 */
export function accountOf(value: unknown): string | undefined {
  if (typeof value !== 'string' && typeof value !== 'number') return undefined
  const name = String(value).slice(0, 1000).normalize('NFKC').trim().toLowerCase()
  return name === '' ? undefined : name
}
