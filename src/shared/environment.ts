import { parseDuration } from './duration.js'
import { ConfigurationError } from './errors.js'
import { type Rule, show } from './options.js'

export type Environment = Readonly<Record<string, string | undefined>>

/** Reads variables, each checked by a rule; an unset or empty variable is `undefined`. */
export function reader(env: Environment): {
  text(name: string, rule: Rule): string | undefined
  number(name: string, rule: Rule): number | undefined
  /** Milliseconds; a bare number is milliseconds already. */
  duration(name: string, rule: Rule): number | undefined
  flag(name: string): boolean | undefined
} {
  const read = <T>(name: string, rule: Rule, parse: (raw: string) => T): T | undefined => {
    const raw = env[name]?.trim()
    if (raw === undefined || raw === '') return undefined
    const value = parse(raw)
    if (!rule.accepts(value)) {
      throw new ConfigurationError(
        'environment',
        name,
        `must be ${rule.expected}, got ${rule.secret ? '[secret]' : show(raw)}`,
      )
    }
    return value
  }
  return {
    text: (name, rule) => read(name, rule, (raw) => raw),
    number: (name, rule) => read(name, rule, (raw) => (/^\d+$/.test(raw) ? Number(raw) : Number.NaN)),
    duration: (name, rule) =>
      read(name, rule, (raw) => (/^\d+$/.test(raw) ? Number(raw) : (parseDuration(raw) ?? Number.NaN))),
    flag: (name) =>
      read(name, { expected: 'true, false, 1 or 0', accepts: (value) => value !== undefined }, (raw) => FLAGS.get(raw)),
  }
}

const FLAGS: ReadonlyMap<string, boolean> = new Map([
  ['1', true],
  ['true', true],
  ['0', false],
  ['false', false],
])
