import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLocks, isLockLost, isLockTimeout, type Lock } from '../../src/lock/index.js'
import { createRedisManager, defineScript, isRedisUnavailable } from '../../src/redis/index.js'

/**
 * A storage that refuses fences below the greatest it has seen, and keeps a log of what it accepted. It reads with the
 * fence, too: otherwise the old holder could write after the new one has read.
 *
 * KEYS greatest fence, value, log, value without a fence. ARGV fence, holder, what is written (nothing: read)
 */
const fenced = defineScript<[accepted: number, value: number, shadow: number]>({
  name: 'test.fenced',
  lua: `
local last = tonumber(redis.call('GET', KEYS[1]) or 0)
local fence = tonumber(ARGV[1])
if ARGV[3] ~= '' then redis.call('SET', KEYS[4], ARGV[4]) end
if fence < last then return { 0, 0, 0 } end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('RPUSH', KEYS[3], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. (ARGV[3] == '' and 'read' or 'write'))
if ARGV[3] ~= '' then redis.call('SET', KEYS[2], ARGV[3]) end
return { 1, tonumber(redis.call('GET', KEYS[2]) or 0), tonumber(redis.call('GET', KEYS[4]) or 0) }`,
})

export interface SectionReport {
  readonly type: 'section'
  readonly accepted: boolean
  readonly heldAtTheEnd: boolean
  readonly stalled: boolean
}

const [url = '', holder = '', resources = '1', ttl = '400', stallEvery = '50'] = process.argv.slice(2)
const redis = createRedisManager({ url, logger: false, env: {}, commandTimeout: '500ms' })
const locks = createLocks({ redis, ttl: Number(ttl), wait: '1m' })
let done = 0
let stopping = false
process.on('message', (message) => {
  if (message === 'quit') stopping = true
})

async function section(resource: string, lock: Lock, stall: boolean): Promise<SectionReport> {
  const keys = ['fence', 'value', 'log', 'shadow'].map((name) => `test:{${resource}}:${name}`)
  const call = (write: string, shadow: string): Promise<[number, number, number]> =>
    redis.execute('test.fenced', (client) => fenced.run(client, keys, [lock.fence, holder, write, shadow]))

  const [mayRead, value, shadow] = await call('', '')
  if (stall) {
    process.send?.({ type: 'stall' })
    await once(process, 'message')
  } else {
    await sleep(Math.random() * 3)
  }
  // On purpose without lock.assertHeld(): here the storage must stop who is late.
  const heldAtTheEnd = lock.held
  const [mayWrite] = mayRead ? await call(String(value + 1), String(shadow + 1)) : [0]
  return { type: 'section', accepted: mayWrite === 1, heldAtTheEnd, stalled: stall }
}

await redis.ready('20s')
while (!stopping) {
  const resource = String(Math.floor(Math.random() * Number(resources)))
  try {
    const lock = await locks.acquire(resource)
    const report = await section(resource, lock, ++done % Number(stallEvery) === 0)
    await lock.release()
    process.send?.(report)
  } catch (error) {
    if (!isRedisUnavailable(error) && !isLockLost(error) && !isLockTimeout(error)) throw error
  }
}
await redis.close()
process.disconnect()
