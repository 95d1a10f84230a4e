import { setTimeout as sleep } from 'node:timers/promises'
import { createLocks, createRedisManager } from 'holdfast'
import { Redis } from 'ioredis'
import { Mutex } from 'redis-semaphore'
import { startRedis } from '../http/servers.mjs'

const ROUNDS = Number(process.argv[2] ?? 15)
const SECTIONS = 3000
const CONTENDED = 200
const TTL = 10_000

const redis = await startRedis()
const manager = createRedisManager({ url: redis.url, logger: false, keyPrefix: 'bench', commandTimeout: '5s' })
await manager.ready('10s')
const client = new Redis(redis.url)
const locks = createLocks({ redis: manager, ttl: TTL, wait: '1m' })
const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`

/** Each runs a section under the lock of a key. All have the same ttl; both packages extend by themselves. */
const subjects = {
  'plain ioredis, SET NX and compare-and-delete': async (key, section) => {
    const token = Math.random().toString(36)
    while ((await client.set(`plain:${key}`, token, 'PX', TTL, 'NX')) === null) await sleep(10 + Math.random() * 10)
    await section()
    await client.eval(RELEASE, 1, `plain:${key}`, token)
  },
  holdfast: (key, section) => locks.withLock(key, {}, section),
  'redis-semaphore': async (key, section) => {
    const mutex = new Mutex(client, key, { lockTimeout: TTL, acquireTimeout: 60_000 })
    await mutex.acquire()
    await section()
    await mutex.release()
  },
}

const nothing = async () => {}

/** Sections per second where nobody else wants the lock. */
async function free(run) {
  const started = performance.now()
  await Promise.all(
    Array.from({ length: 16 }, async (_, worker) => {
      for (let i = 0; i < SECTIONS / 16; i++) await run(`free ${worker} ${i % 10}`, nothing)
    }),
  )
  return (SECTIONS / (performance.now() - started)) * 1000
}

/** Sections per second where eight want the same lock all the time, for a millisecond each. */
async function contended(run) {
  const started = performance.now()
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let i = 0; i < CONTENDED / 8; i++) await run('contended', () => sleep(1))
    }),
  )
  return (CONTENDED / (performance.now() - started)) * 1000
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]

for (const measure of [free, contended]) {
  const rates = Object.fromEntries(Object.keys(subjects).map((name) => [name, []]))
  for (const run of Object.values(subjects)) await measure(run)
  for (let round = 0; round < ROUNDS; round++) {
    const order = Object.entries(subjects)
    if (round % 2) order.reverse()
    for (const [name, run] of order) rates[name].push(await measure(run))
  }
  const [baseline] = Object.values(rates)
  console.log(`\n${measure.name}: sections/s (median of ${ROUNDS} rounds), and ratio to plain ioredis within a round`)
  for (const [name, list] of Object.entries(rates)) {
    const ratio = median(list.map((rate, round) => rate / baseline[round]))
    console.log(`${Math.round(median(list)).toString().padStart(7)}  ${ratio.toFixed(2)}  ${name}`)
  }
}

await locks.close()
await manager.close()
client.disconnect()
process.exit(0)
