import type { RedisManager } from '../redis/index.js'
import { type LogKeys, STREAMS, type StreamName } from './append.js'
import { chain, type Seal, type Signer } from './integrity.js'
import { fieldsOf } from './query.js'

export interface VerifyOptions {
  /** Written at or after. @default everything that is still there */
  readonly from?: Date | number | undefined
  /** Written before. */
  readonly to?: Date | number | undefined
  /** Seals that were stored elsewhere: what they cover must be there, unless it is past its retention. */
  readonly seals?: readonly Seal[] | undefined
}

/** Sequence numbers that a process used and that are not there. */
export interface MissingEvents {
  readonly producer: string
  readonly stream: StreamName
  readonly from: number
  readonly to: number
}

/** What a verification found. Lists stop at 1000. */
export interface Verification {
  /** Nothing altered, missing, reordered or unsigned, and no seal broken. */
  readonly ok: boolean
  readonly checked: number
  /** Ids of entries whose content is not what was signed. */
  readonly altered: readonly string[]
  readonly missing: readonly MissingEvents[]
  /** Ids of entries that stand before an earlier one, or twice. */
  readonly reordered: readonly string[]
  /** Ids of entries without a signature, or with an unknown key. */
  readonly unsigned: readonly string[]
  /** Removed by `erase()`, which left a signed note. */
  readonly erased: number
  /** Seals that are forged, broken out of their chain, or do not fit what is there. */
  readonly brokenSeals: readonly Seal[]
}

const MAX_LISTED = 1000
const CHUNK = 500

export interface VerifierOptions {
  readonly redis: RedisManager
  readonly keys: LogKeys
  readonly shards: number
  readonly signer: Signer
}

/** Recomputes every signature over what is in Redis now; nothing that is stored there is believed. Fails closed. */
export function createVerifier({ redis, keys, shards, signer }: VerifierOptions) {
  return async ({ from, to, seals = [] }: VerifyOptions = {}): Promise<Verification> => {
    const report = new Report()
    const chains = new SealCheck(signer, seals)
    for (let shard = 0; shard < shards; shard++) {
      const erased = await redis.execute('security.verify', (client) => client.hgetall(keys.erased(shard)), {
        deadline: 5000,
      })
      for (const stream of STREAMS) {
        const isErased = (producer: string, sequence: number): boolean => {
          const note = erased[`${producer}.${stream}.${sequence}`]
          return note !== undefined && note === signer.signErasure({ producer, stream, sequence })
        }
        await verifyStream(keys.stream(stream, shard), stream, isErased)
      }
    }
    report.brokenSeals.push(...chains.broken())
    return report.result()

    async function verifyStream(
      key: string,
      stream: StreamName,
      isErased: (producer: string, sequence: number) => boolean,
    ): Promise<void> {
      const last = new Map<string, number>()
      const end = to === undefined ? '+' : `(${ms(to)}-0`
      let start = from === undefined ? '-' : String(ms(from))
      for (;;) {
        const entries = await redis.execute(
          'security.verify',
          (client) => client.xrange(key, start, end, 'COUNT', CHUNK),
          { deadline: 5000 },
        )
        for (const [id, flat] of entries) {
          const { p: producer = '', s = '', m = '', e: json = '', id: eventId } = fieldsOf(flat)
          const sequence = /^\d{1,15}$/.test(s) ? Number(s) : -1
          report.checked++
          const verdict = signer.check({ producer, stream, sequence }, json, m)
          if (verdict === 'unsigned' || verdict === 'unknown') {
            add(report.unsigned, id)
            continue
          }
          if (verdict === 'bad' || eventId !== idOf(json)) {
            add(report.altered, id)
            if (sequence < 0) continue
          }
          const before = last.get(producer)
          if (before !== undefined && sequence <= before) {
            add(report.reordered, id)
            continue
          }
          last.set(producer, sequence)
          if (before !== undefined) gap(producer, stream, before + 1, sequence, isErased)
          chains.see({ producer, stream, sequence }, m)
        }
        if (entries.length < CHUNK) break
        start = `(${entries.at(-1)?.[0]}`
      }
      chains.end(stream, last, from === undefined && to === undefined, (producer, first, after) =>
        gap(producer, stream, first, after, isErased),
      )
    }

    function gap(
      producer: string,
      stream: StreamName,
      first: number,
      after: number,
      isErased: (producer: string, sequence: number) => boolean,
    ): void {
      let open: number | undefined
      for (let sequence = first; sequence <= after; sequence++) {
        const gone = sequence < after && !isErased(producer, sequence)
        if (sequence < after && !gone) {
          report.erased++
          chains.excuse({ producer, stream, sequence })
        }
        if (gone && open === undefined) open = sequence
        if (!gone && open !== undefined) {
          add(report.missing, { producer, stream, from: open, to: sequence - 1 })
          open = undefined
        }
      }
    }
  }
}

class Report {
  checked = 0
  erased = 0
  readonly altered: string[] = []
  readonly missing: MissingEvents[] = []
  readonly reordered: string[] = []
  readonly unsigned: string[] = []
  readonly brokenSeals: Seal[] = []

  result(): Verification {
    const { checked, erased, altered, missing, reordered, unsigned, brokenSeals } = this
    const found = altered.length + missing.length + reordered.length + unsigned.length + brokenSeals.length
    return { ok: found === 0, checked, altered, missing, reordered, unsigned, erased, brokenSeals }
  }
}

interface Pending {
  readonly seal: Seal
  digest: string
  next: number
  excused: boolean
}

/** Compares what is there with what was sealed. */
class SealCheck {
  readonly #pending = new Map<string, Pending[]>()
  readonly #broken: Seal[] = []

  constructor(signer: Signer, seals: readonly Seal[]) {
    const previous = new Map<string, string>()
    for (const seal of [...seals].sort((a, b) => a.from - b.from)) {
      const key = `${seal.producer}.${seal.stream}`
      const before = previous.get(key)
      previous.set(key, seal.signature)
      if (!signer.checkSeal(seal) || (before !== undefined && seal.previous !== before)) {
        this.#broken.push(seal)
        continue
      }
      const list = this.#pending.get(key) ?? []
      list.push({ seal, digest: '', next: seal.from, excused: false })
      this.#pending.set(key, list)
    }
  }

  see({ producer, stream, sequence }: { producer: string; stream: StreamName; sequence: number }, mac: string): void {
    const pending = this.#find(producer, stream, sequence)
    if (pending === undefined) return
    pending.digest = chain(pending.digest, mac)
    pending.next = sequence + 1
  }

  excuse({ producer, stream, sequence }: { producer: string; stream: StreamName; sequence: number }): void {
    const pending = this.#find(producer, stream, sequence)
    if (pending !== undefined) pending.excused = true
  }

  /** After a stream was read: what was sealed and follows the last entry was cut off. */
  end(
    stream: StreamName,
    last: ReadonlyMap<string, number>,
    whole: boolean,
    missing: (producer: string, first: number, after: number) => void,
  ): void {
    if (!whole) return
    for (const list of this.#pending.values()) {
      for (const { seal } of list) {
        const seen = last.get(seal.producer)
        if (seal.stream === stream && seen !== undefined && seal.to > seen) {
          missing(seal.producer, Math.max(seen + 1, seal.from), seal.to + 1)
        }
      }
    }
  }

  broken(): readonly Seal[] {
    for (const list of this.#pending.values()) {
      for (const { seal, digest, next, excused } of list) {
        // Sealed events that were trimmed by age are gone rightly; a seal read in part cannot be judged.
        const complete = next === seal.to + 1 && digest !== ''
        if (complete && !excused && digest !== seal.digest && this.#startsAt(seal)) this.#broken.push(seal)
      }
    }
    return this.#broken
  }

  readonly #firsts = new Map<string, number>()

  #startsAt({ producer, stream, from }: Seal): boolean {
    return (this.#firsts.get(`${producer}.${stream}`) ?? 0) <= from
  }

  #find(producer: string, stream: StreamName, sequence: number): Pending | undefined {
    const key = `${producer}.${stream}`
    if (!this.#firsts.has(key)) this.#firsts.set(key, sequence)
    return this.#pending.get(key)?.find(({ seal }) => seal.from <= sequence && sequence <= seal.to)
  }
}

function add<T>(list: T[], item: T): void {
  if (list.length < MAX_LISTED) list.push(item)
}

function idOf(json: string): unknown {
  try {
    return (JSON.parse(json) as { id?: unknown } | null)?.id
  } catch {
    return undefined
  }
}

function ms(time: Date | number): number {
  return Math.floor(time instanceof Date ? time.getTime() : time)
}
