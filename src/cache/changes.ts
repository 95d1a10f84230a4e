/** Where so many changes come during reads that never pause, it is cheaper to take everything as changed. */
const MAX_NOTED = 10_000

/** What changed while something was being read: a reply may be from before the change. */
export class Changes {
  #readers = 0
  #count = 0
  #everythingAt = 0
  readonly #changedAt = new Map<string, number>()

  /** Call before the command is sent, and {@link end} once for it. What it returns is for {@link since}. */
  begin(): number {
    this.#readers++
    return this.#count
  }

  end(): void {
    if (--this.#readers === 0) this.#changedAt.clear()
  }

  /** Ask before {@link end}. */
  since(begun: number, key: string): boolean {
    return this.#everythingAt > begun || (this.#changedAt.get(key) ?? 0) > begun
  }

  note(key: string): void {
    if (this.#readers === 0) return
    if (this.#changedAt.size >= MAX_NOTED) this.noteEverything()
    else this.#changedAt.set(key, ++this.#count)
  }

  noteEverything(): void {
    this.#everythingAt = ++this.#count
    this.#changedAt.clear()
  }
}
