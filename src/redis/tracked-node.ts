import slotOf from 'cluster-key-slot'
import type { Redis } from 'ioredis'
import { isCluster, type RedisClient } from './client.js'

export interface TrackedNodeOptions {
  /** Fresh, not reconnecting, RESP2: ioredis drops the invalidation messages of RESP3. */
  readonly connection: Redis
  readonly prefixes: readonly string[]
  /** A key, and the write whose announcement proves that announcements arrive. */
  readonly probe: () => { readonly key: string; readonly write: () => Promise<unknown> }
  readonly onChange: (key: string) => void
  readonly onFlush: () => void
  readonly onState: () => void
  readonly deadlineMs: number
}

const CHANNEL = '__redis__:invalidate'

/**
 * One connection on which one server announces changed keys. It redirects the announcements to itself, so that the
 * connection that is tracked and the one that is told are the same and fail as one.
 */
export class TrackedNode {
  state: 'arming' | 'armed' | 'refused' | 'lost' = 'arming'
  readonly #options: TrackedNodeOptions
  readonly #deadline: NodeJS.Timeout
  #onProbe: ((key: string) => void) | undefined
  #pinging = false

  constructor(options: TrackedNodeOptions) {
    this.#options = options
    const { connection } = options
    this.#deadline = setTimeout(() => this.#enter('lost'), options.deadlineMs)
    this.#deadline.unref()
    connection.on('messageBuffer', (_channel: Buffer, keys: Buffer | readonly Buffer[] | null) => this.#told(keys))
    connection.once('end', () => this.#enter('lost'))
    if (connection.status === 'ready') void this.#arm()
    else connection.once('ready', () => void this.#arm())
  }

  /** Two calls without an answer in between mean that the connection is dead. */
  ping(): void {
    if (this.state !== 'armed') return
    if (this.#pinging) {
      // As in the gate: after a blocked event loop the PONG may be waiting in the socket.
      setImmediate(() => this.#pinging && this.#enter('lost'))
      return
    }
    this.#pinging = true
    this.#options.connection.ping().then(
      () => {
        this.#pinging = false
      },
      () => this.#enter('lost'),
    )
  }

  close(): void {
    clearTimeout(this.#deadline)
    this.state = 'lost'
    const { connection } = this.#options
    connection.removeAllListeners('messageBuffer')
    connection.disconnect()
    ;(connection as unknown as { stream?: { destroy(): void } }).stream?.destroy()
  }

  async #arm(): Promise<void> {
    const { connection, prefixes, probe } = this.#options
    try {
      const id = String(await connection.client('ID'))
      const tracking = ['TRACKING', 'ON', 'REDIRECT', id, 'BCAST']
      await connection.call('CLIENT', ...tracking, ...prefixes.flatMap((prefix) => ['PREFIX', prefix]))
      await connection.subscribe(CHANNEL)
    } catch (error) {
      const refused = (error as Error).name === 'ReplyError' && !/^(LOADING|MASTERDOWN)/.test((error as Error).message)
      return this.#enter(refused ? 'refused' : 'lost')
    }
    try {
      const { key, write } = probe()
      const heard = new Promise<void>((resolve) => {
        this.#onProbe = (told) => {
          if (told === key) resolve()
        }
      })
      await write()
      await heard
    } catch {
      return this.#enter('lost')
    }
    this.#onProbe = undefined
    this.#enter('armed')
  }

  #told(keys: Buffer | readonly Buffer[] | null): void {
    if (keys === null) return this.#options.onFlush()
    for (const each of Array.isArray(keys) ? keys : [keys as Buffer]) {
      const key = each.toString()
      this.#onProbe?.(key)
      this.#options.onChange(key)
    }
  }

  #enter(state: TrackedNode['state']): void {
    if (this.state === 'lost' || this.state === state) return
    this.state = state
    if (state !== 'arming') clearTimeout(this.#deadline)
    this.#options.onState()
  }
}

/** A key that this node serves, so that it can be written on the node's own connection. */
export function probeKeyFor(client: RedisClient, node: Redis, keyOf: (part: string) => string): string {
  const unique = Math.random().toString(36).slice(2)
  if (!isCluster(client)) return keyOf(unique)
  const id = `${node.options.host}:${node.options.port}`
  const { slots } = client as unknown as { slots: readonly (readonly string[] | undefined)[] }
  for (let attempt = 0; attempt < 10_000; attempt++) {
    const key = keyOf(`${unique}${attempt}`)
    if (slots[slotOf(key)]?.[0] === id) return key
  }
  throw new Error('this master serves no slots')
}
