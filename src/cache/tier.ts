import { Changes } from './changes.js'
import type { Dependency } from './entry.js'

/** A version as it is known here; `undefined` once it may have changed. */
interface Cell {
  version: string | undefined
  uses: number
}

/** An entry with what the caller made of it. */
export interface Resident<Value> {
  readonly key: string
  readonly value: Value
  readonly createdAt: number
  readonly freshUntil: number
  readonly staleUntil: number
}

interface Node<Value> extends Resident<Value> {
  readonly until: number
  readonly bytes: number
  readonly dependencies: readonly { readonly key: string; readonly cell: Cell; readonly version: string }[]
  touched: boolean
}

export interface Keeping {
  /** Memory the value takes. */
  readonly bytes: number
  /** Longest time it is kept. */
  readonly capMs: number
  /** By the names of the keys that hold the versions. */
  readonly dependencies: readonly Dependency[]
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
  readonly #changes = new Changes()

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

  /** Call before a read is sent whose reply may be kept, and {@link endRead} once for it. */
  beginRead(): number {
    return this.#changes.begin()
  }

  endRead(): void {
    this.#changes.end()
  }

  /** Keeps what a read that began at `begun` found, unless one of the keys it comes from has changed since. */
  keep(resident: Resident<Value>, begun: number, { bytes, capMs, dependencies }: Keeping): void {
    const { key, value, createdAt, freshUntil, staleUntil } = resident
    if (!this.open || this.#changes.since(begun, key)) return
    for (const { name } of dependencies) if (this.#changes.since(begun, name)) return
    const present = this.#nodes.get(key)
    if (present !== undefined) this.#remove(present)
    const size = bytes + OVERHEAD + 4 * key.length + 200 * dependencies.length
    if (size > this.#maxBytes) return
    this.#nodes.set(key, {
      ...{ key, value, createdAt, freshUntil, staleUntil },
      until: Math.min(staleUntil, Date.now() + capMs),
      bytes: size,
      dependencies: dependencies.map((dependency) => this.#use(dependency)),
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
    this.#changes.note(key)
  }

  clear(): void {
    this.#changes.noteEverything()
    this.#nodes.clear()
    this.#cells.clear()
    this.bytes = 0
  }

  #use({ name: key, version }: Dependency): Node<Value>['dependencies'][number] {
    const cell = this.#cells.get(key) ?? { version, uses: 0 }
    this.#cells.set(key, cell)
    cell.version = version
    cell.uses++
    return { key, cell, version }
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
