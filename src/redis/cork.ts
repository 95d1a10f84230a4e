import type { Writable } from 'node:stream'
import { isCluster, type RedisClient } from './client.js'

/** With so many commands on their way, others are likely to follow in the same turn of the event loop. */
const BUSY = 4

/**
 * Holds what is written and sends it as one: a system call per command costs more than the command. Under load for one
 * turn of the event loop, else only while the code that runs now goes on.
 */
export class Cork {
  #held: Writable | undefined
  readonly #release = (): void => {
    const stream = this.#held
    this.#held = undefined
    stream?.uncork()
  }

  hold(client: RedisClient, inFlight: number): void {
    // A Cluster's commands go to several sockets, and which one is not known before they are sent.
    if (this.#held !== undefined || isCluster(client)) return
    const { stream } = client as unknown as { stream: Writable | undefined }
    if (stream === undefined || stream.destroyed) return
    stream.cork()
    this.#held = stream
    if (inFlight < BUSY) process.nextTick(this.#release)
    else setImmediate(this.#release)
  }
}
