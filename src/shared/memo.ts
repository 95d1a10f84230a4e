/**
 * What was made of texts that were asked for lately, bounded in number and in length: longer texts come once, or from
 * somebody who means to fill the memory. Two halves, of which the older one is dropped.
 */
export class Memo<Value> {
  readonly #half: number
  readonly #longest: number
  #recent = new Map<string, Value>()
  #older = new Map<string, Value>()

  constructor(max: number, longest: number) {
    this.#half = max / 2
    this.#longest = longest
  }

  get(text: string): Value | undefined {
    const value = this.#recent.get(text)
    if (value !== undefined) return value
    const old = this.#older.get(text)
    if (old !== undefined) this.set(text, old)
    return old
  }

  set(text: string, value: Value): void {
    if (text.length > this.#longest) return
    if (this.#recent.size >= this.#half) {
      this.#older = this.#recent
      this.#recent = new Map()
    }
    this.#recent.set(text, value)
  }
}
