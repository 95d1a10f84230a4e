import { hostname } from 'node:os'
import { defineScript, type RedisManager } from '../redis/index.js'
import { type Duration, toMs } from '../shared/duration.js'
import { ConfigurationError } from '../shared/errors.js'
import { type LogKeys, STREAMS } from './append.js'
import type { SecurityEvent } from './event.js'
import { decode, fieldsOf } from './query.js'

export interface ConsumeOptions {
  /** This reader's name in the group; one per process. @default host name and process id */
  readonly name?: string | undefined
  /** Most events given to the handler at once, 1 to 1000. @default 100 */
  readonly batch?: number | undefined
  /** Pause after an empty read. @default '1s' */
  readonly interval?: Duration | undefined
  /** Events that another reader took and did not finish in this time are taken over. @default '60s' */
  readonly reclaimAfter?: Duration | undefined
}

export interface Consumer {
  /** Waits for the handler that is running, if one is. */
  close(): Promise<void>
}

/** Forwards events; what it resolves is done, what it rejects is given again, to somebody. */
export type ConsumeHandler = (events: readonly SecurityEvent[]) => Promise<unknown>

/** KEYS[1] stream, ARGV[1] group. Creates the group, at the beginning of the stream, unless it is there. */
const ensureGroup = defineScript<number>({
  name: 'security-group',
  lua: `
local reply = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if type(reply) == 'table' and reply.err and not string.find(reply.err, 'BUSYGROUP') then return reply end
return 1`,
})

const DEADLINE = 1000
const MAX_PAUSE = 30_000

export interface ConsumerContext {
  readonly redis: RedisManager
  readonly keys: LogKeys
  readonly shards: number
}

type Entries = readonly (readonly [id: string, fields: string[] | null])[]

/**
 * Reads the log as a member of a consumer group: every event is given to one member, at least once. Events are
 * acknowledged when the handler has resolved; those of a member that died are taken over by the others.
 */
export function consume(
  { redis, keys, shards }: ConsumerContext,
  group: string,
  handler: ConsumeHandler,
  { name = `${hostname()}-${process.pid}`, batch = 100, interval = '1s', reclaimAfter = '60s' }: ConsumeOptions = {},
): Consumer {
  if (!/^[\w.-]{1,64}$/.test(group)) {
    throw new ConfigurationError('security.consume', 'group', 'must be 1 to 64 letters, digits, "_", "." or "-"')
  }
  if (!Number.isInteger(batch) || batch < 1 || batch > 1000) {
    throw new ConfigurationError('security.consume', 'batch', 'must be an integer from 1 to 1000')
  }
  const streams = STREAMS.flatMap((stream) => Array.from({ length: shards }, (_, shard) => keys.stream(stream, shard)))
  const pauseMs = toMs(interval)
  const idleMs = toMs(reclaimAfter)
  let wake = (): void => {}
  let closed = false
  let failures = 0

  /** Entries of others that died first, then new ones. */
  function read(key: string): Promise<Entries> {
    return redis.attempt<Entries>(
      'security.consume',
      async (client) => {
        await ensureGroup.run(client, [key], [group])
        const [, claimed] = (await client.xautoclaim(key, group, name, idleMs, '0-0', 'COUNT', batch)) as [
          string,
          Entries,
        ]
        if (claimed.length > 0) return claimed
        const reply = (await client.xreadgroup('GROUP', group, name, 'COUNT', batch, 'STREAMS', key, '>')) as
          | [string, Entries][]
          | null
        return reply?.[0]?.[1] ?? []
      },
      () => [],
      { deadline: DEADLINE },
    )
  }

  async function forward(key: string): Promise<number> {
    const entries = await read(key)
    if (entries.length === 0) return 0
    const events = entries.flatMap(([id, flat]) =>
      flat === null ? [] : (decode(redis, { id, fields: fieldsOf(flat) }) ?? []),
    )
    try {
      if (events.length > 0) await handler(events)
      failures = 0
    } catch (error) {
      failures++
      redis.warn(
        'HOLDFAST_SECURITY_CONSUME',
        `a consumer of the security log failed: ${String((error as Error)?.name)}`,
      )
      return 0
    }
    const ids = entries.map(([id]) => id)
    await redis.attempt(
      'security.consume',
      (client) => client.xack(key, group, ...ids),
      () => 0,
      { deadline: DEADLINE },
    )
    return entries.length
  }

  async function run(): Promise<void> {
    while (!closed) {
      let handled = 0
      for (const key of streams) if (!closed) handled += await forward(key)
      if (handled > 0 && failures === 0) continue
      await pause(Math.min(pauseMs * 2 ** Math.min(failures, 10), Math.max(MAX_PAUSE, pauseMs)))
    }
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (closed) return resolve()
      const timer = setTimeout(resolve, ms)
      timer.unref()
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  const running = run()
  return {
    async close() {
      closed = true
      wake()
      await running
    },
  }
}
