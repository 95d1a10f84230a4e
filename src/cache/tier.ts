import type { Entry } from './entry.js'

/** A version as it is known here; `undefined` once it may have changed. */
interface Cell {
  version: string | undefined
  uses: number
}

/** An entry kept in this process, with what the caller made of it. */
export interface Resident<Value> {
  readonly key: string
  readonly value: Value
  readonly createdAt: number
  readonly freshUntil: number
  readonly staleUntil: number
  readonly metadata: Buffer
}

interface Node<Value> extends Resident<Value> {
  readonly until: number
  readonly bytes: number
  readonly dependencies: readonly { readonly key: string; readonly cell: Cell; readonly version: string }[]
  touched: boolean
}

/** What was being read while changes were announced. */
export interface Reader {
  /** From before the command is sent. */
  watch(key: string): void
  /** Call once, in any case. */
  end(): void
  readonly unchanged: boolean
}

/** Map entry, node, dependency list and the strings that name them. */
const OVERHEAD = 512

/**
 * Entries and versions in this process, bounded in bytes. Whoever follows the changes in Redis calls `changed` and
 * `clear` and says by `open` whether it hears them all; nothing is kept or given while it does not.
 */
export class LocalTier<Value> {
  open = false
  bytes = 0
  evictions = 0
  readonly #maxBytes: number
  readonly #nodes = new Map<string, Node<Value>>()
  readonly #cells = new Map<string, Cell>()
  readonly #reading = new Map<string, Set<{ dirty: boolean }>>()
  #epoch = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get size(): number {
    return this.#nodes.size
  }

  get(key: string, now: number): Resident<Value> | undefined {
    if (!this.open) return undefined
    const node = this.#nodes.get(key)
    if (node === undefined) return undefined
    if (node.until <= now || !isValid(node)) {
      this.#remove(node)
      return undefined
    }
    node.touched = true
    return node
  }

  /** A key that changed while it was being read must not be kept: the reply may be from before the change. */
  reader(): Reader {
    const token = { dirty: false }
    const epoch = this.#epoch
    const keys: string[] = []
    const reading = this.#reading
    const tier = this
    return {
      watch(key) {
        keys.push(key)
        const set = reading.get(key) ?? new Set()
        reading.set(key, set.add(token))
      },
      end() {
        for (const key of keys) {
          const set = reading.get(key)
          set?.delete(token)
          if (set?.size === 0) reading.delete(key)
        }
      },
      get unchanged() {
        return !token.dirty && tier.open && tier.#epoch === epoch
      },
    }
  }

  /** Call only while the reader that read it says `unchanged`. `versionKey` names a dependency's key. */
  keep(
    key: string,
    entry: Entry,
    value: Value,
    { bytes, capMs, versionKey }: { bytes: number; capMs: number; versionKey: (name: string) => string },
  ): void {
    const present = this.#nodes.get(key)
    if (present !== undefined) this.#remove(present)
    const size = bytes + OVERHEAD + 4 * key.length + 200 * entry.dependencies.length
    if (size > this.#maxBytes) return
    const dependencies = entry.dependencies.map(({ name, version }) => {
      const cellKey = versionKey(name)
      const cell = this.#cells.get(cellKey) ?? { version, uses: 0 }
      this.#cells.set(cellKey, cell)
      cell.version = version
      cell.uses++
      return { key: cellKey, cell, version }
    })
    const { createdAt, freshUntil, staleUntil } = entry
    const until = Math.min(staleUntil, Date.now() + capMs)
    // A copy: the reply is a slice of a far larger buffer, which it would keep alive.
    const metadata = Buffer.from(entry.metadata)
    this.#nodes.set(key, {
      ...{ key, value, createdAt, freshUntil, staleUntil, metadata, until, dependencies },
      bytes: size,
      touched: false,
    })
    this.bytes += size
    this.#evict()
  }

  changed(key: string): void {
    const node = this.#nodes.get(key)
    if (node !== undefined) this.#remove(node)
    const cell = this.#cells.get(key)
    if (cell !== undefined) {
      cell.version = undefined
      this.#cells.delete(key)
    }
    for (const token of this.#reading.get(key) ?? []) token.dirty = true
  }

  clear(): void {
    this.#epoch++
    this.#nodes.clear()
    this.#cells.clear()
    this.bytes = 0
  }

  /** Second chance: what was read since it was last looked at goes to the end of the line. */
  #evict(): void {
    while (this.bytes > this.#maxBytes) {
      const [key, node] = this.#nodes.entries().next().value as [string, Node<Value>]
      if (node.touched) {
        node.touched = false
        this.#nodes.delete(key)
        this.#nodes.set(key, node)
      } else {
        this.#remove(node)
        this.evictions++
      }
    }
  }

  #remove(node: Node<Value>): void {
    this.#nodes.delete(node.key)
    this.bytes -= node.bytes
    for (const { key, cell } of node.dependencies) {
      cell.uses--
      if (cell.uses === 0 && this.#cells.get(key) === cell) this.#cells.delete(key)
    }
  }
}

function isValid<Value>(node: Node<Value>): boolean {
  for (const { cell, version } of node.dependencies) if (cell.version !== version) return false
  return true
}
