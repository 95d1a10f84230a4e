import { appendFile, readFile, rename, unlink } from 'node:fs/promises'
import type { Entry } from './ring.js'

/** Events that were still waiting when a process ended, in a file only its user can read. */
export interface Spill {
  /** Takes over what an earlier process left; call {@link done} once it is written to Redis. */
  load(): Promise<readonly Entry[]>
  done(): Promise<void>
  save(entries: Iterable<Entry>): Promise<void>
}

const MAX_LINE = 20_000

export function createSpill(path: string, producer: string): Spill {
  const mine = `${path}.${producer}`
  let loaded = false
  return {
    async load() {
      try {
        // Whoever renames it has it: two processes that start together must not both read it.
        await rename(path, mine)
      } catch {
        return []
      }
      loaded = true
      const text = await readFile(mine, 'utf8')
      return text.split('\n').flatMap((line) => parse(line) ?? [])
    },
    async done() {
      if (!loaded) return
      loaded = false
      await unlink(mine).catch(() => {})
    },
    async save(entries) {
      let text = ''
      for (const entry of entries) text += `${JSON.stringify(entry)}\n`
      if (text !== '') await appendFile(path, text, { mode: 0o600 })
    },
  }
}

function parse(line: string): Entry | undefined {
  if (line === '' || line.length > MAX_LINE) return undefined
  try {
    const { id, level, at, json, audit, user } = JSON.parse(line) as Partial<Entry>
    const valid =
      typeof id === 'string' &&
      (level === 'info' || level === 'warn' || level === 'critical') &&
      typeof at === 'number' &&
      typeof json === 'string' &&
      typeof audit === 'boolean' &&
      (user === undefined || typeof user === 'string')
    return valid ? { id, level, at, json, audit, user } : undefined
  } catch {
    return undefined
  }
}
