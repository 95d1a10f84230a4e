import type { RedisClient } from './client.js'

/**
 * Closes a connection of ours within `boundMs` in every state: a hung server never answers QUIT, and a client that is
 * waiting to reconnect never emits `end`.
 */
export async function disconnect(client: RedisClient, boundMs: number): Promise<void> {
  if (client.status === 'end') return
  if (client.status === 'ready' && boundMs > 0) {
    let timer: NodeJS.Timeout | undefined
    const bound = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, boundMs)
    })
    // QUIT is answered after everything sent before it: this is the drain.
    await Promise.race([client.quit().then(ignore, ignore), bound])
    clearTimeout(timer)
  }
  client.disconnect()
}

function ignore(): void {}
