import { Memo } from '../shared/memo.js'

const AT_ONCE = 2
const MOST = 16
/** What failed is likely to fail again at once. */
const REST_MS = 1000

/** Work that nobody waits for: each piece once, two at a time. What comes while many wait is not done. */
export class Background {
  readonly #names = new Set<string>()
  readonly #waiting: { readonly name: string; readonly work: () => Promise<boolean> }[] = []
  readonly #resting = new Memo<number>(1000, 1024)
  #working = 0

  /** `work` begins after what runs now, an answer being sent, and says whether it succeeded. */
  offer(name: string, work: () => Promise<boolean>): void {
    if (this.#names.size >= MOST || this.#names.has(name)) return
    if ((this.#resting.get(name) ?? 0) > performance.now()) return
    this.#names.add(name)
    this.#waiting.push({ name, work })
    if (this.#working >= AT_ONCE) return
    this.#working++
    setImmediate(() => void this.#run())
  }

  async #run(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const done = await next.work().catch(() => false)
      if (!done) this.#resting.set(next.name, performance.now() + REST_MS)
      this.#names.delete(next.name)
    }
    this.#working--
  }
}
