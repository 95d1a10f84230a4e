/** The name of the epoch among versions: no generation or tag has it. */
export const EPOCH = 'e'

type Reply = Buffer | null | undefined

/** Versions as they were read, by name. `undefined` for one that is missing in Redis, and for a name not asked for. */
export class Versions {
  #names: readonly string[]
  #replies: readonly Reply[]

  /** The replies for `names` begin at `from`. */
  constructor(names: readonly string[], replies: readonly Reply[], from: number = 0) {
    this.#names = names
    this.#replies = replies.slice(from)
  }

  /** Names that have a version. */
  known(): string[] {
    return this.#names.filter((name) => this.get(name) !== undefined)
  }

  has(name: string): boolean {
    return this.#names.includes(name)
  }

  get(name: string): string | undefined {
    return textOf(this.#replyOf(name))
  }

  /** Whether this is the version under the name: as by {@link get}, without making its text. */
  match(name: string, version: string): boolean {
    const reply = this.#replyOf(name)
    if (reply === null || reply === undefined || reply.length !== version.length) return false
    for (let at = 0; at < reply.length; at++) if (reply[at] !== version.charCodeAt(at)) return false
    return true
  }

  add(names: readonly string[], replies: readonly Reply[]): void {
    this.#names = [...this.#names, ...names]
    this.#replies = [...this.#replies, ...replies]
  }

  #replyOf(name: string): Reply {
    const index = this.#names.indexOf(name)
    return index === -1 ? undefined : this.#replies[index]
  }
}

export function textOf(bytes: Reply): string | undefined {
  return bytes?.toString('latin1')
}
