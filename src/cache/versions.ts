/** Versions as they were read, by name. `undefined` for one that is missing in Redis, and for a name not asked for. */
export class Versions {
  #names: readonly string[]
  #texts: readonly (string | undefined)[]

  constructor(names: readonly string[], replies: readonly (Buffer | null | undefined)[], from: number = 0) {
    this.#names = names
    const texts: (string | undefined)[] = []
    for (let index = 0; index < names.length; index++) texts.push(textOf(replies[from + index]))
    this.#texts = texts
  }

  /** Names that have a version. */
  known(): string[] {
    return this.#names.filter((_, index) => this.#texts[index] !== undefined)
  }

  has(name: string): boolean {
    return this.#names.includes(name)
  }

  get(name: string): string | undefined {
    const index = this.#names.indexOf(name)
    return index === -1 ? undefined : this.#texts[index]
  }

  add(names: readonly string[], replies: readonly (Buffer | null)[]): void {
    this.#names = [...this.#names, ...names]
    this.#texts = [...this.#texts, ...replies.map(textOf)]
  }
}

export function textOf(bytes: Buffer | null | undefined): string | undefined {
  return bytes?.toString('latin1')
}
