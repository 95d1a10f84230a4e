import { setTimeout as sleep } from 'node:timers/promises'
import { fairNow } from './fair-clock.js'

export interface EventuallyOptions {
  within?: number
  every?: number
}

/** Awaits what becomes true within the time, by a clock that leaves out what a busy machine takes. */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { within = 10_000, every = 10 }: EventuallyOptions = {},
): Promise<T> {
  const deadline = fairNow() + within
  let failure: unknown = new Error(`nothing happened within ${within} ms`)
  for (;;) {
    try {
      const result = await answerBefore(deadline, check)
      if (result !== false) return result
      failure = new Error(`still false after ${within} ms: ${check}`)
    } catch (error) {
      if (!(error instanceof CheckHung)) failure = error
    }
    if (fairNow() + every >= deadline) throw failure
    await sleep(every)
  }
}

class CheckHung extends Error {}

// A check that asks a paused server never answers; without this the deadline would never be looked at.
async function answerBefore<T>(deadline: number, check: () => T | Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const hung = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new CheckHung()), Math.max(deadline - fairNow(), 0))
  })
  try {
    return await Promise.race([check(), hung])
  } finally {
    clearTimeout(timer)
  }
}
