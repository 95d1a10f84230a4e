import { setTimeout as sleep } from 'node:timers/promises'
import { createRedisManager } from 'holdfast'
import { startRedis } from '../http/servers.mjs'
import { limiters } from './limiters.mjs'

/**
 * Every limiter against the same caller: one call, then nothing until the window is almost over, then 64 calls at a
 * time for more than a window. An admission happened between its call and its answer; counted are only those that were
 * in one window for certain, so that a slow machine understates and never overstates.
 */
const IN_FLIGHT = 64
const ROUNDS = 3
const LIMITS = [
  [7, 1000],
  [100, 1000],
  [5000, 1000],
]

const { url, client } = await startRedis()
const redis = createRedisManager({ url, logger: false, commandTimeout: 10_000 })
await redis.ready()

console.log(`\nNode ${process.version}, ${new Date().toISOString().slice(0, 10)}, most admitted in any window of 1 s\n`)
console.log(`| limiter | ${LIMITS.map(([limit]) => `limit ${limit}`).join(' | ')} | bytes per key at 5000 |`)
console.log(`|---|${LIMITS.map(() => '---|').join('')}---|`)
for (const [name, create] of Object.entries(limiters)) {
  const cells = []
  let bytes = 0
  for (const [limit, windowMs] of LIMITS) {
    const allows = create({ redis, client, limit, windowMs })
    let most = 0
    for (let round = 0; round < ROUNDS; round++) {
      const before = new Set(await client.keys('*'))
      most = Math.max(most, await attack(allows, `attacked-${limit}-${round}`, windowMs))
      for (const key of await client.keys('*')) {
        if (!before.has(key)) bytes = Math.max(bytes, (await client.memory('USAGE', key)) ?? 0)
      }
    }
    cells.push(most > limit ? `**${most}**` : most)
  }
  console.log(`| ${name} | ${cells.join(' | ')} | ${bytes} |`)
}
process.exit(0)

async function attack(allows, key, windowMs) {
  // Whoever aligns windows with the clock starts a new one here.
  await sleep(windowMs - (Date.now() % windowMs))
  const started = performance.now()
  await allows(key)
  await sleep(windowMs * 0.95 - (performance.now() - started))
  const admitted = []
  const hammer = async () => {
    while (performance.now() - started < windowMs * 2.2) {
      const sent = performance.now()
      if (await allows(key)) admitted.push({ sent, answered: performance.now() })
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, hammer))
  return mostForCertain(admitted, windowMs)
}

function mostForCertain(admitted, windowMs) {
  const sorted = admitted.sort((a, b) => a.sent - b.sent)
  let most = 0
  for (let first = 0; first < sorted.length; first += 1 + Math.floor(sorted.length / 4000)) {
    const end = sorted[first].sent + windowMs
    let count = 0
    for (let i = first; i < sorted.length && sorted[i].sent < end; i++) if (sorted[i].answered < end) count++
    most = Math.max(most, count)
  }
  return most
}
