/** Encodings that bodies are kept in, the shorter one first. */
export const ENCODINGS = ['br', 'gzip'] as const

export type Encoding = (typeof ENCODINGS)[number]

const NONE: readonly Encoding[] = []
/** Longer ones are not a browser's. */
const LONGEST = 512
/** A coding and its weight (RFC 9110 §12.4.2, §12.5.3). */
const ITEM = /^([!#$%&'*+\-.^_`|~0-9a-z]+)(?:[ \t]*;[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?$/

/**
 * Which encodings an Accept-Encoding prefers to the plain body, or likes as much, the best first. None where it cannot be
 * read: the plain body is what everyone understands.
 */
export function acceptedEncodings(header: string): readonly Encoding[] {
  if (header.length > LONGEST) return NONE
  const weights = new Map<string, number>()
  for (const each of header.toLowerCase().split(',')) {
    const item = each.trim()
    if (item === '') continue
    const [, coding, weight = '1'] = ITEM.exec(item) ?? []
    if (coding === undefined) return NONE
    const name = coding === 'x-gzip' ? 'gzip' : coding
    weights.set(name, Math.min(Number(weight), weights.get(name) ?? 1))
  }
  const weightOf = (name: string): number => weights.get(name) ?? weights.get('*') ?? 0
  const least = weightOf('identity')
  return ENCODINGS.filter((name) => weightOf(name) > 0 && weightOf(name) >= least).sort(
    (a, b) => weightOf(b) - weightOf(a),
  )
}
