import { isCardNumber, maskSecrets, REDACTED } from './redact.js'

/** What a value may cost at most once it is in an event. */
const MAX_TEXT = 1000
/** Looked at for secrets before a text is cut, so that no cut leaves the half of one. */
const MAX_SCANNED = 4000
const MAX_DEPTH = 4
const MAX_KEYS = 50
const MAX_NODES = 500

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences of terminals are what must not pass
const ANSI = /[\x1b\x9b][[\]()#;?]*(?:\d{1,4}(?:;\d{0,4})*)?[\dA-PR-TZcf-nq-uy=><~]/g
/** Would forge a line of a log. */
const LINES = /[\t-\r\u0085\u2028\u2029]+/g
/** The other controls, zero-width and bidirectional characters: they hide text or what it says. */
const HIDING = /[\p{Cc}\p{Cf}]/gu
/** Cheaper to ask first: most texts are printable ASCII. */
const UNUSUAL = /[^ -~]/
const CONTROL = /[\p{Cc}\p{Cf}\u2028\u2029]/u

export interface TextOptions {
  readonly max?: number
  /** False for identifiers, where a long number is no payment card. */
  readonly cards?: boolean
}

/** One line of bounded length without control characters and without anything that looks like a secret. */
export function cleanText(text: string, { max = MAX_TEXT, cards = true }: TextOptions = {}): string {
  const head = text.length > MAX_SCANNED ? text.slice(0, MAX_SCANNED) : text
  let clean = maskSecrets(head, { cards })
  if (UNUSUAL.test(clean) && CONTROL.test(clean)) {
    clean = clean.replace(ANSI, '').replace(LINES, ' ').replace(HIDING, '')
    // What hid between control characters shows only now.
    clean = maskSecrets(clean, { cards })
  }
  return clean.length > max ? `${clean.slice(0, max - 1)}…` : clean
}

/** JSON-safe data: no prototype, no methods, no getters, no cycles. */
export type Clean = string | number | boolean | null | Clean[] | { [name: string]: Clean }

export interface Sanitised {
  readonly value: Clean
  /** Something was left out for its size. */
  readonly truncated: boolean
}

const NOTHING: ReadonlySet<string> = new Set()

/**
 * Copies any value into bounded, redacted, JSON-safe data. Never throws, whatever a getter or proxy does. Of the value
 * itself, not of what it holds, the names in `skip` are left out.
 */
export function sanitise(
  value: unknown,
  isSecretName: (name: string) => boolean,
  skip: ReadonlySet<string> = NOTHING,
): Sanitised {
  const walk = new Walk(isSecretName, skip)
  const clean = walk.copy(value, 0)
  return { value: clean, truncated: walk.truncated }
}

class Walk {
  truncated = false
  readonly #isSecretName: (name: string) => boolean
  readonly #skip: ReadonlySet<string>
  readonly #ancestors: object[] = []
  #nodes = 0

  constructor(isSecretName: (name: string) => boolean, skip: ReadonlySet<string>) {
    this.#isSecretName = isSecretName
    this.#skip = skip
  }

  copy(value: unknown, depth: number): Clean {
    if (++this.#nodes > MAX_NODES) return this.#cut('[truncated]')
    switch (typeof value) {
      case 'string':
        if (value.length > MAX_TEXT) this.truncated = true
        return cleanText(value)
      case 'number':
        if (!Number.isFinite(value)) return String(value)
        return value > 1e12 && isCardNumber(String(value)) ? REDACTED : value
      case 'boolean':
        return value
      case 'bigint':
        return cleanText(value.toString())
      case 'symbol':
        return cleanText(value.description ?? 'symbol')
      case 'function':
        return '[function]'
    }
    if (value === null || typeof value !== 'object') return null
    if (this.#ancestors.includes(value)) return '[circular]'
    if (depth >= MAX_DEPTH) return this.#cut('[truncated]')
    this.#ancestors.push(value)
    try {
      return this.#object(value, depth)
    } catch {
      return '[unreadable]'
    } finally {
      this.#ancestors.pop()
    }
  }

  #object(value: object, depth: number): Clean {
    if (Array.isArray(value)) {
      const kept: Clean[] = []
      const length = Math.min(value.length, MAX_KEYS)
      for (let index = 0; index < length; index++) kept.push(this.#read(value, index, depth) ?? null)
      if (value.length > MAX_KEYS) this.truncated = true
      return kept
    }
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
    if (value instanceof URL) return cleanText(value.href)
    if (ArrayBuffer.isView(value)) return `[binary, ${value.byteLength} bytes]`
    if (value instanceof Map || value instanceof Set) return `[collection of ${value.size}]`
    if (value instanceof Promise) return '[promise]'
    return this.#fields(value, value instanceof Error ? ['name', 'message', 'code'] : Object.keys(value), depth)
  }

  #fields(value: object, names: readonly string[], depth: number): Clean {
    if (depth === 0 && this.#skip.size > 0) names = names.filter((name) => !this.#skip.has(name))
    const copy: { [name: string]: Clean } = Object.create(null)
    for (const name of names.slice(0, MAX_KEYS)) {
      if (name === '__proto__' || name === 'constructor' || name === 'prototype') continue
      const item = this.#isSecretName(name) ? this.#withheld(value, name) : this.#read(value, name, depth)
      if (item !== undefined) copy[cleanText(name, { max: 64 })] = item
    }
    if (names.length > MAX_KEYS) this.truncated = true
    return copy
  }

  #read(holder: object, name: string | number, depth: number): Clean | undefined {
    let value: unknown
    try {
      value = (holder as Record<string | number, unknown>)[name]
    } catch {
      return '[unreadable]'
    }
    return value === undefined ? undefined : this.copy(value, depth + 1)
  }

  /** That a secret was there is worth knowing; a flag or nothing is no secret. */
  #withheld(holder: object, name: string): Clean {
    try {
      const value = (holder as Record<string, unknown>)[name]
      return typeof value === 'boolean' ? value : value === null || value === undefined ? null : REDACTED
    } catch {
      return '[unreadable]'
    }
  }

  #cut(text: string): string {
    this.truncated = true
    return text
  }
}
