import type { RedisManager } from '../redis/index.js'
import { releaseScript } from './scripts.js'

/** Tokens that may hold a lock although nobody does: an acquisition whose reply never came, a release likewise. */
export interface Orphans {
  /** Takes the token from the lock, now or as soon as Redis answers. Should that fail, the lock expires by itself. */
  disown(key: string, token: string): Promise<void>
  close(): void
}

const MOST = 1000

/** What was sent on a lost connection may run after the first commands of the next one. */
const SECOND_LOOK_MS = 1000

export function createOrphans(redis: RedisManager): Orphans {
  const waiting = new Map<string, { readonly key: string; looks: number }>()
  let timer: NodeJS.Timeout | undefined
  let closed = false
  const offs = [redis.on('up', onReturn), redis.on('recovered', onReturn)]

  function take(key: string, token: string): Promise<number | 'error' | 'away'> {
    return redis.attempt<number | 'error' | 'away'>(
      'lock.disown',
      (client) => releaseScript.run(client, [key], [token]),
      (reason) => (reason === 'error' ? 'error' : 'away'),
    )
  }

  async function lookAgain(): Promise<void> {
    await Promise.all(
      [...waiting].map(async ([token, orphan]) => {
        const taken = await take(orphan.key, token)
        if (taken === 'away') return
        orphan.looks++
        if (taken !== 0 || orphan.looks >= 2) waiting.delete(token)
      }),
    )
  }

  function onReturn(): void {
    if (waiting.size === 0) return
    void lookAgain()
    clearTimeout(timer)
    timer = setTimeout(lookAgain, SECOND_LOOK_MS)
    timer.unref()
  }

  return {
    async disown(key, token) {
      if ((await take(key, token)) !== 'away' || closed) return
      if (waiting.size >= MOST) waiting.delete(waiting.keys().next().value as string)
      waiting.set(token, { key, looks: 0 })
    },
    close() {
      closed = true
      clearTimeout(timer)
      for (const off of offs) off()
      waiting.clear()
    },
  }
}
