export interface FrontOptions {
  /**
   * Response caches without `key`, limiters with `user: false` and security logs whose answers need nothing of Express:
   * hits and callers known to be refused are answered before Express sees the request, once an equal request was
   * answered the same way in Express and nothing but static headers was added in front of it.
   * @default none
   */
  readonly front?: readonly object[] | undefined
}
