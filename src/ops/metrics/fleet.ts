import { randomBytes } from 'node:crypto'
import { batch, defineScript, type RedisManager } from '../../redis/index.js'
import { createLoop } from '../loop.js'
import { decodeOperation, encodeOperation } from './encoding.js'
import { type OperationOutcome, type OperationStats, Operations } from './operations.js'

/** Operations of every process, and of each time bucket. */
export interface FleetStats {
  readonly from: Date
  readonly to: Date
  /** Processes that wrote something. */
  readonly processes: number
  /** Redis calls and `measure`d operations by name, over the whole time. */
  readonly operations: Readonly<Record<string, OperationStats>>
  /** Oldest first; buckets without calls are left out. */
  readonly buckets: readonly { readonly at: Date; readonly operations: Readonly<Record<string, OperationStats>> }[]
}

export interface FleetSettings {
  readonly redis: RedisManager
  readonly bucketMs: number
  readonly keepMs: number
  readonly flushMs: number
  readonly maxOperations: number
  readonly now: () => number
}

interface Bucket {
  readonly start: number
  readonly operations: Operations
  changed: boolean
}

export interface Fleet {
  record(operation: string, outcome: OperationOutcome, ms: number): void
  flush(): Promise<boolean>
  read(lastMs: number): Promise<FleetStats>
  readonly lost: number
  close(): Promise<void>
}

const ADMINISTRATION = { deadline: 1000 }
/** Buckets that wait for Redis to return. */
const MAX_WAITING = 15
const READ_AT_ONCE = 20

// KEYS[1] bucket, ARGV[1] TTL in ms, ARGV[2..] field, value …
const writeScript = defineScript<number>({
  name: 'metrics.write',
  lua: `
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[1])`,
})

/**
 * Each process writes its own totals of a bucket under its own fields: writing again after a time-out, whose outcome is
 * unknown, counts nothing twice.
 */
export function createFleet({ redis, bucketMs, keepMs, flushMs, maxOperations, now }: FleetSettings): Fleet {
  const process = randomBytes(9).toString('base64url')
  const waiting: Bucket[] = []
  let lost = 0
  let current = open(now())
  const loop = createLoop({ every: flushMs, run: async () => void (await flush()) })

  function open(at: number): Bucket {
    const start = Math.floor(at / bucketMs) * bucketMs
    return { start, operations: new Operations(maxOperations), changed: false }
  }

  function bucketNow(): Bucket {
    const at = now()
    // Also where the clock was set back.
    if (at >= current.start && at < current.start + bucketMs) return current
    if (current.changed) waiting.push(current)
    if (waiting.length > MAX_WAITING) {
      waiting.shift()
      lost++
    }
    current = open(at)
    return current
  }

  async function write(bucket: Bucket): Promise<boolean> {
    const fields = [...bucket.operations.byName].flatMap(([name, it]) => [`${process}:${name}`, encodeOperation(it)])
    const written = bucket.changed
    bucket.changed = false
    const ok = await redis.attempt(
      'metrics.write',
      (client) => writeScript.run(client, [redis.keys.key('metrics', bucket.start)], [keepMs + bucketMs, ...fields]),
      () => undefined,
      ADMINISTRATION,
    )
    if (ok === undefined && written) bucket.changed = true
    return ok !== undefined
  }

  async function flush(): Promise<boolean> {
    for (let bucket = waiting[0]; bucket !== undefined; bucket = waiting[0]) {
      if (!(await write(bucket))) return false
      if (waiting[0] === bucket) waiting.shift()
    }
    return !current.changed || write(current)
  }

  async function readBuckets(starts: readonly number[]): Promise<Record<string, string>[]> {
    const replies = await redis.execute(
      'metrics.read',
      (client) =>
        batch(
          client,
          starts.map((start) => ['hgetall', redis.keys.key('metrics', start)]),
        ),
      ADMINISTRATION,
    )
    return replies.map(([error, fields]) => (error === null ? (fields as Record<string, string>) : {}))
  }

  return {
    get lost() {
      return lost
    },
    record(operation, outcome, ms) {
      const bucket = bucketNow()
      bucket.operations.record(operation, outcome, ms)
      bucket.changed = true
    },
    flush,
    async read(lastMs) {
      const to = now()
      const first = Math.floor((to - lastMs) / bucketMs) * bucketMs
      const starts = Array.from(
        { length: Math.floor((to - first) / bucketMs) + 1 },
        (_, index) => first + index * bucketMs,
      )
      const processes = new Set<string>()
      const totals = new Operations(maxOperations)
      const buckets: { at: Date; operations: Record<string, OperationStats> }[] = []
      for (let at = 0; at < starts.length; at += READ_AT_ONCE) {
        const some = starts.slice(at, at + READ_AT_ONCE)
        for (const [index, fields] of (await readBuckets(some)).entries()) {
          const own = merge(fields, processes)
          if (own.byName.size === 0) continue
          for (const [name, it] of own.byName) totals.of(name).add(it)
          buckets.push({ at: new Date(some[index] as number), operations: own.stats() })
        }
      }
      return { from: new Date(first), to: new Date(to), processes: processes.size, operations: totals.stats(), buckets }
    },
    async close() {
      await loop.stop()
      await flush()
    },
  }

  function merge(fields: Record<string, string>, processes: Set<string>): Operations {
    const own = new Operations(maxOperations)
    for (const [field, value] of Object.entries(fields)) {
      const colon = field.indexOf(':')
      const operation = decodeOperation(value)
      if (colon < 1 || operation === undefined) {
        redis.emit('data.corrupt', { feature: 'metrics', problem: 'a field that is no operation' })
        continue
      }
      processes.add(field.slice(0, colon))
      own.of(field.slice(colon + 1)).add(operation)
    }
    return own
  }
}
