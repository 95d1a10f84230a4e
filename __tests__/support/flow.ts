import type { Socket } from 'node:net'

export interface Conditions {
  latency: number
  slice: number
  stalled: boolean
}

interface Piece {
  due: number
  bytes: Buffer
}

/** One direction of a proxied connection: bytes leave in the order they came, never before they are due. */
export class Flow {
  #from: Socket
  #to: Socket
  #conditions: Conditions
  #delayed: boolean
  #queue: Piece[] = []
  #ended = false
  #next: NodeJS.Timeout | undefined
  forwarded = 0

  constructor(from: Socket, to: Socket, conditions: Conditions, { delayed }: { delayed: boolean }) {
    this.#from = from
    this.#to = to
    this.#conditions = conditions
    this.#delayed = delayed
    from.on('data', (bytes: Buffer) => this.#take(bytes))
    from.on('end', () => {
      this.#ended = true
      this.#release()
    })
    this.apply()
  }

  apply(): void {
    if (this.#conditions.stalled) this.#from.pause()
    else this.#from.resume()
    this.#release()
  }

  stop(): void {
    clearTimeout(this.#next)
    this.#queue = []
  }

  #take(bytes: Buffer): void {
    const size = this.#conditions.slice || bytes.length
    const due = performance.now() + (this.#delayed ? this.#conditions.latency : 0)
    for (let start = 0; start < bytes.length; start += size) {
      this.#queue.push({ due, bytes: bytes.subarray(start, start + size) })
    }
    this.#release()
  }

  #release(): void {
    clearTimeout(this.#next)
    if (this.#conditions.stalled || this.#to.destroyed) return
    for (let piece = this.#queue[0]; piece; piece = this.#queue[0]) {
      const wait = piece.due - performance.now()
      if (wait > 0) {
        this.#next = setTimeout(() => this.#release(), Math.ceil(wait))
        return
      }
      this.#queue.shift()
      this.#to.write(piece.bytes)
      this.forwarded += piece.bytes.length
      if (this.#conditions.slice && this.#queue.length > 0) {
        // One write per turn of the loop, or the kernel would join the slices again.
        this.#next = setTimeout(() => this.#release(), 1)
        return
      }
    }
    if (this.#ended) this.#to.end()
  }
}
