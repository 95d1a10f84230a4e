/** Throws a TypeError for what is no key. */
export function checkKey(key: unknown): void {
  if (typeof key !== 'string' || key === '') throw new TypeError('cache: a key is a non-empty string')
}
