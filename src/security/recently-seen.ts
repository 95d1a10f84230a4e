/** The last value seen for each of a bounded number of keys. */
export class RecentlySeen {
  readonly #max: number
  readonly #values = new Map<string, string>()

  constructor(max: number) {
    this.#max = max
  }

  /** True where the key is new or had another value. */
  changed(key: string, value: string): boolean {
    const before = this.#values.get(key)
    this.#values.delete(key)
    this.#values.set(key, value)
    if (this.#values.size > this.#max) {
      const [oldest] = this.#values.keys()
      if (oldest !== undefined) this.#values.delete(oldest)
    }
    return before !== value
  }
}
