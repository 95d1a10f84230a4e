export type Json = Readonly<Record<string, unknown>>

export interface Merged {
  readonly data: Json
  /** Keys that both sides changed to different values. */
  readonly conflicts: readonly string[]
}

/**
 * Three-way merge by top-level key: what only one side changed is kept, whichever side it was. A key that both changed
 * goes to the later writer: `mine`, or `theirs` where mine is a write that waited for an outage to end.
 */
export function merge(base: Json, mine: Json, theirs: Json, winner: 'mine' | 'theirs' = 'mine'): Merged {
  const data: Record<string, unknown> = Object.create(null)
  const conflicts: string[] = []
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const [was, my, their] = [textOf(base, key), textOf(mine, key), textOf(theirs, key)]
    if (my === was) {
      if (their !== undefined) data[key] = theirs[key]
      continue
    }
    const conflict = their !== was && their !== my
    if (conflict) conflicts.push(key)
    const [value, source] = conflict && winner === 'theirs' ? [their, theirs] : [my, mine]
    if (value !== undefined) data[key] = source[key]
  }
  return { data, conflicts }
}

/** Property order does not count as a change. */
function textOf(data: Json, key: string): string | undefined {
  return Object.hasOwn(data, key) ? JSON.stringify(data[key], sorted) : undefined
}

function sorted(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
