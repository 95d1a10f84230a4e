/** One job that waits for Redis. */
export interface Parcel {
  readonly id: string
  readonly data: unknown
  /** When it is due, in ms since 1970. */
  readonly dueAt: number
  readonly priority: number | undefined
  readonly attempts: number | undefined
}

export interface Outbox {
  readonly size: number
  /** False where it is full. */
  put(parcel: Parcel): boolean
  /** Sends one after the other, in the order they came, until one cannot be sent. */
  flush(): Promise<void>
  close(): void
}

const RETRY_EVERY = 1000

/** Bounded, in this process only. Each parcel has an id of its own, so that sending one twice adds one job. */
export function createOutbox(max: number, send: (parcel: Parcel) => Promise<'sent' | 'later' | 'refused'>): Outbox {
  const parcels: Parcel[] = []
  let flushing: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined

  async function flushAll(): Promise<void> {
    for (let first = parcels[0]; first !== undefined; first = parcels[0]) {
      if ((await send(first)) === 'later') return
      parcels.shift()
    }
    clearInterval(timer)
    timer = undefined
  }

  function flush(): Promise<void> {
    flushing ??= flushAll().finally(() => {
      flushing = undefined
    })
    return flushing
  }

  return {
    get size() {
      return parcels.length
    },
    put(parcel) {
      if (parcels.length >= max) return false
      parcels.push(parcel)
      timer ??= setInterval(() => void flush(), RETRY_EVERY).unref()
      return true
    },
    flush,
    close: () => clearInterval(timer),
  }
}
