import { isCluster, type RedisClient } from './client.js'

/**
 * Closes a connection within `boundMs` in every state: a hung server never answers QUIT, and a client that is waiting
 * to reconnect never emits `end`.
 */
export async function disconnect(client: RedisClient, boundMs: number): Promise<void> {
  if (client.status === 'end') return
  // A Cluster forgets its nodes when it disconnects.
  const nodes = isCluster(client) ? client.nodes('all') : [client]
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
  for (const node of nodes) {
    // disconnect() waits for a polite FIN.
    ;(node as unknown as { stream?: { destroy(): void } }).stream?.destroy()
  }
}

function ignore(): void {}
