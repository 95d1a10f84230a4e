import { parseDuration } from './duration.js'
import { ConfigurationError } from './errors.js'

/** What a value must be, and how to say so. */
export interface Rule {
  readonly expected: string
  readonly accepts: (value: unknown) => boolean
  /** Secrets are never shown in a message. */
  readonly secret?: boolean
}

/** One rule for every option: a forgotten one does not compile. */
export type Rules<Options> = { readonly [Name in keyof Required<Options>]: Rule }

/**
 * Throws one {@link ConfigurationError} for the first option that is unknown or out of its range. An option that is
 * `undefined` counts as not given.
 */
export function checkOptions<Options extends object>(owner: string, given: Options, rules: Rules<Options>): void {
  if (typeof given !== 'object' || given === null) {
    throw new ConfigurationError(owner, 'options', `must be an object, got ${show(given)}`)
  }
  for (const [name, value] of Object.entries(given)) {
    const rule = Object.hasOwn(rules, name) ? (rules as Readonly<Record<string, Rule>>)[name] : undefined
    if (rule === undefined) {
      throw new ConfigurationError(owner, name, `is not an option; expected one of ${Object.keys(rules).join(', ')}`)
    }
    if (value !== undefined && !rule.accepts(value)) {
      throw new ConfigurationError(
        owner,
        name,
        `must be ${rule.expected}, got ${rule.secret ? '[secret]' : show(value)}`,
      )
    }
  }
}

/** Throws unless every named option was given. */
export function requireOptions<Options extends object>(
  owner: string,
  given: Options,
  rules: Rules<Options>,
  ...names: (keyof Options & string)[]
): void {
  for (const name of names) {
    if (given[name] === undefined) {
      throw new ConfigurationError(owner, name, `is required: ${rules[name].expected}`)
    }
  }
}

/** A short, safe rendering of a value for a message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}

const rule = (expected: string, accepts: (value: unknown) => boolean): Rule => ({ expected, accepts })

export const anything: Rule = rule('anything', () => true)
export const aBoolean: Rule = rule('true or false', (value) => typeof value === 'boolean')
export const aFunction: Rule = rule('a function', (value) => typeof value === 'function')
export const aString: Rule = rule('a non-empty string', (value) => typeof value === 'string' && value !== '')
export const anObject: Rule = rule('an object', (value) => typeof value === 'object' && value !== null)

/** A shared Redis manager, recognised by shape so that two installed copies work together. */
export const aManager: Rule = rule('a Redis manager made by createRedisManager()', (value) => {
  const manager = value as { attempt?: unknown; execute?: unknown } | null
  return typeof manager === 'object' && typeof manager?.attempt === 'function' && typeof manager.execute === 'function'
})

export function anInteger(min: number, max: number = Number.MAX_SAFE_INTEGER): Rule {
  const range = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`
  return rule(`an integer ${range}`, (value) => Number.isInteger(value) && Number(value) >= min && Number(value) <= max)
}

/** A duration from `min` to `max` milliseconds. */
export function aDuration(min = 0, max: number = 2 ** 31 - 1): Rule {
  return rule(`a duration such as '30s' or milliseconds, from ${min} ms to ${max} ms`, (value) => {
    const ms = parseDuration(value)
    return ms !== undefined && ms >= min && ms <= max
  })
}

export function oneOf(...values: readonly (string | number | boolean)[]): Rule {
  const list = values.map((value) => (typeof value === 'string' ? `'${value}'` : String(value)))
  return rule(list.join(' or '), (value) => (values as readonly unknown[]).includes(value))
}

export function either(...rules: readonly Rule[]): Rule {
  const expected = rules.map((each) => each.expected).join(', or ')
  return rule(expected, (value) => rules.some((each) => each.accepts(value)))
}

export function arrayOf(each: Rule, min = 0): Rule {
  const expected = `an array of ${each.expected}${min > 0 ? `, at least ${min}` : ''}`
  return rule(expected, (value) => Array.isArray(value) && value.length >= min && value.every(each.accepts))
}

export function secret(inner: Rule): Rule {
  return { ...inner, secret: true }
}
