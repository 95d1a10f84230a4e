import type { SessionCore } from './core.js'
import { SessionUnavailableError } from './errors.js'
import type { SessionEnd } from './events.js'
import type { Facts, SessionRecord } from './record.js'

/** What the serializer hands through connect-redis: more than text, since a write has to know what it was based on. */
export interface SessionWrite {
  readonly json: string
  readonly idle: number
  readonly absolute: number
  readonly base: { readonly json: string; readonly version: number } | undefined
  readonly replace: boolean
  readonly facts: Facts | undefined
  /** Told what is stored now; -1 for a version that the writer does not know. */
  readonly saved: (version: number) => void
}

interface Operations {
  get(id: string): Promise<SessionRecord | null>
  set(id: string, write: SessionWrite): Promise<'OK'>
  expire(id: string, seconds: number): Promise<number>
  del(ids: string | readonly string[]): Promise<number>
  many(handles: readonly string[]): Promise<(SessionRecord | null)[]>
  handles(): AsyncGenerator<string[], void, undefined>
}

const FEW = 50
const NOTHING = { json: '{}', version: -1 }

/** `ending`: why sessions are removed, asked when the removal starts, since connect-redis has no parameter for it. */
function operationsOn(core: SessionCore, ending: () => SessionEnd): Operations {
  const { repository } = core
  const get = async (id: string): Promise<SessionRecord | null> => {
    const found = await core.find(id, core.touchAfter)
    // Not null: that would be "no session", and a new one would take the place of the one that cannot be read.
    if (found.status === 'unavailable') throw new SessionUnavailableError('outage', found.reason)
    return found.status === 'found' ? found.record : null
  }
  return {
    get,
    async set(id, write) {
      const { json, idle, absolute, base, replace, facts } = write
      if (base === undefined) {
        if (await repository.create(id, { json, idle, absolute, replace, facts })) {
          write.saved(1)
          return 'OK'
        }
      }
      // Nobody else knows a new id: what is there already is an earlier write of it, whose answer was lost.
      const saved = await repository.save(id, { base: base ?? NOTHING, json, idle })
      if (saved.status === 'saved') write.saved(saved.version)
      return 'OK'
    },
    expire: async (id, seconds) => ((await repository.touch(id, seconds * 1000)) === undefined ? 0 : 1),
    async del(ids) {
      const reason = ending()
      let removed = 0
      for (const few of chunks(typeof ids === 'string' ? [ids] : ids)) {
        const answers = await Promise.all(few.map((id) => core.remove(id, reason, reason !== 'renewed')))
        removed += answers.filter(Boolean).length
      }
      return removed
    },
    async many(handles) {
      const records: (SessionRecord | null)[] = []
      for (const few of chunks(handles)) records.push(...(await Promise.all(few.map(get))))
      return records
    },
    handles: () => repository.handles(),
  }
}

function* chunks(ids: readonly string[]): Generator<readonly string[]> {
  for (let start = 0; start < ids.length; start += FEW) yield ids.slice(start, start + FEW)
}

/** In the shape of an ioredis client, which connect-redis 8 takes. */
export function ioredisShaped(core: SessionCore, ending: () => SessionEnd): object {
  const { many, handles, ...operations } = operationsOn(core, ending)
  return {
    ...operations,
    mget: many,
    async scan(): Promise<[cursor: string, handles: string[]]> {
      return ['0', await everyOf(handles())]
    },
  }
}

/** In the shape of a node-redis client, which connect-redis 9 and 10 take. */
export function nodeRedisShaped(core: SessionCore, ending: () => SessionEnd): object {
  const { many, handles, ...operations } = operationsOn(core, ending)
  return { ...operations, mGet: many, scanIterator: handles }
}

async function everyOf(batches: AsyncIterable<string[]>): Promise<string[]> {
  const all = new Set<string>()
  for await (const batch of batches) for (const handle of batch) all.add(handle)
  return [...all]
}
