import { ConfigurationError } from '../shared/errors.js'
import { encodePayload, isPayloadError } from '../shared/payload.js'
import { PreferenceValueError } from './errors.js'
import type { PreferencesOptions } from './options.js'

/** The keys there are, and what their values may be. */
export interface Schema {
  readonly keys: readonly string[]
  /** The default, a fresh copy each time. */
  defaultOf(key: string): unknown
  /** The value as JSON. Throws PreferenceValueError or PayloadError. */
  encode(key: string, value: unknown): string
  /** The stored value; undefined where it is damaged or not allowed (any more). */
  decode(key: string, text: string): unknown
}

const OWNER = 'createPreferences'

export function createSchema({ defaults, validate = {}, maxBytes = 4096 }: PreferencesOptions<object>): Schema {
  const texts = new Map<string, string>()
  for (const [key, value] of Object.entries(defaults)) {
    if (key === '' || key === '__proto__' || key.length > 200) {
      throw new ConfigurationError(OWNER, 'defaults', 'must have keys of 1 to 200 characters, none of them "__proto__"')
    }
    texts.set(key, encodeDefault(key, value, maxBytes))
  }
  const checks = new Map(Object.entries(validate as Record<string, ((value: unknown) => boolean) | undefined>))
  for (const key of checks.keys()) {
    if (!texts.has(key))
      throw new ConfigurationError(OWNER, 'validate', `names ${JSON.stringify(key)}, which has no default`)
  }
  const kinds = new Map([...texts].map(([key, text]) => [key, kindOf(JSON.parse(text))]))

  function allowed(key: string, value: unknown): boolean {
    const check = checks.get(key)
    if (check !== undefined) return check(value)
    const kind = kinds.get(key)
    return kind === 'null' || kind === kindOf(value)
  }

  return {
    keys: [...texts.keys()],
    defaultOf: (key) => JSON.parse(texts.get(key) as string),
    encode(key, value) {
      if (!texts.has(key)) throw new PreferenceValueError('key', 'is not one of the preferences')
      const text = encodePayload('preferences', value, maxBytes)
      // As it will be read: NaN has become null by now.
      if (!allowed(key, parse(text))) throw new PreferenceValueError(key, `must be ${expected(key)}`)
      return text
    },
    decode(key, text) {
      const value = parse(text)
      return value !== undefined && allowed(key, value) ? value : undefined
    },
  }

  function expected(key: string): string {
    return checks.has(key) ? 'what its check allows' : `of the kind of its default: ${kinds.get(key)}`
  }
}

function encodeDefault(key: string, value: unknown, maxBytes: number): string {
  try {
    return encodePayload(OWNER, value, maxBytes)
  } catch (error) {
    if (!isPayloadError(error)) throw error
    throw new ConfigurationError(OWNER, 'defaults', `has ${JSON.stringify(key)}: ${error.message}`)
  }
}

/** Undefined for what is no JSON. Names that merging code would take for the prototype are left out. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text, (key, value) => (key === '__proto__' ? undefined : value))
  } catch {
    return undefined
  }
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}
