/** What may be awaited or is there at once. */
export type Awaitable<T> = T | Promise<T>
