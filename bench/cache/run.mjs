import { spawn } from 'node:child_process'
import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import KeyvRedis from '@keyv/redis'
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { redisDriver } from 'bentocache/drivers/redis'
import { createCache as createCacheManager } from 'cache-manager'
import { Cacheable } from 'cacheable'
import { createRedisManager } from 'holdfast'
import { createCache } from 'holdfast/cache'
import { Redis } from 'ioredis'
import { Keyv } from 'keyv'

const ROUNDS = 9
const PORT = 17_000 + Math.floor(Math.random() * 900)
const url = `redis://127.0.0.1:${PORT}`
const server = spawn('redis-server', ['--port', `${PORT}`, '--save', '', '--appendonly', 'no'], { stdio: 'ignore' })
process.on('exit', () => server.kill('SIGKILL'))
const bare = new Redis(url, { retryStrategy: () => 20 })
bare.on('error', () => {})
while (bare.status !== 'ready') await sleep(10)

// A deadline would turn a busy machine into fallbacks, which are faster than what is measured.
const redis = createRedisManager({ url, logger: false, commandTimeout: 60_000 })
await redis.ready()
const shared = { redis, ttl: '1h', refreshAhead: 0 }
const near = createCache({ ...shared, namespace: 'near', local: true })
const far = createCache({ ...shared, namespace: 'far' })
while (near.stats().local.mode !== 'tracking') await sleep(10)

const connection = { host: '127.0.0.1', port: PORT }
const bento = new BentoCache({
  default: 'near',
  ttl: '1h',
  stores: {
    near: bentostore()
      .useL1Layer(memoryDriver({ maxSize: '100mb' }))
      .useL2Layer(redisDriver({ connection })),
    far: bentostore().useL2Layer(redisDriver({ connection })),
  },
})
const cacheable = new Cacheable({ secondary: new KeyvRedis(url), ttl: '1h' })
const managerNear = createCacheManager({ ttl: 3_600_000 })
const managerFar = createCacheManager({ stores: [new Keyv({ store: new KeyvRedis(url) })], ttl: 3_600_000 })
const keyvFar = new Keyv({ store: new KeyvRedis(url) })

const value = { id: 1, name: 'Anchor', text: 'x'.repeat(1900), list: [1, 2, 3], nested: { a: true, b: null } }
const bytes = Buffer.from(JSON.stringify(value))
const never = () => {
  throw new Error('a miss where a hit is measured')
}
const compute = () => value

await bare.set('bare', bytes)
await far.set('bytes', bytes)
for (const [get, args] of [
  [near.getOrSet, [near, 'key', compute]],
  [far.getOrSet, [far, 'key', compute]],
]) {
  for (let i = 0; i < 3; i++) await get.call(...args)
}
await near.getOrSet('tagged', compute, { tags: ['a', 'b', 'c'] })
await near.get('tagged')
for (const name of ['near', 'far']) await bento.use(name).getOrSet({ key: 'key', factory: compute })
await bento.use('near').getOrSet({ key: 'tagged', factory: compute, tags: ['a', 'b', 'c'] })
await cacheable.set('key', value)
await managerNear.set('key', value)
await managerFar.set('key', value)
await keyvFar.set('key', value)

console.log(
  `\nNode ${process.version}, ${cpus()[0].model}, ${new Date().toISOString().slice(0, 10)}, median of ${ROUNDS} interleaved rounds`,
)

await table('hit in this process, 2 KB, getOrSet', 20_000, 'holdfast', {
  holdfast: () => near.getOrSet('key', never),
  'holdfast, 3 tags': () => near.getOrSet('tagged', never),
  bentocache: () => bento.use('near').getOrSet({ key: 'key', factory: never }),
  'bentocache, 3 tags': () => bento.use('near').getOrSet({ key: 'tagged', factory: never, tags: ['a', 'b', 'c'] }),
  cacheable: () => cacheable.getOrSet('key', never),
  'cache-manager, memory': () => managerNear.wrap('key', never),
})

const shared2k = {
  'bare getBuffer': () => bare.getBuffer('bare'),
  'bare get + JSON.parse': async () => JSON.parse(await bare.get('bare')),
  'holdfast get, a Buffer': () => far.get('bytes'),
  'holdfast get, JSON': () => far.get('key'),
  'holdfast getOrSet, JSON': () => far.getOrSet('key', never),
  bentocache: () => bento.use('far').getOrSet({ key: 'key', factory: never }),
  'cache-manager': () => managerFar.wrap('key', never),
  'keyv (cacheable’s second tier)': () => keyvFar.get('key'),
}
await table('hit in Redis, 2 KB, one after the other', 2000, 'bare getBuffer', shared2k)
await table(
  'hit in Redis, 2 KB, 50 callers side by side',
  40,
  'bare getBuffer',
  Object.fromEntries(Object.entries(shared2k).map(([name, run]) => [name, () => fifty(run)])),
)

const keys = Array.from({ length: 100 }, (_, i) => `many ${i}`)
await far.setMany(keys.map((key) => [key, { key }]))
await Promise.all(keys.map((key) => bare.set(key, JSON.stringify({ key }))))
await Promise.all(keys.map((key) => keyvFar.set(key, { key })))
await Promise.all(keys.map((key) => bento.use('far').set({ key, value: { key } })))
await table('100 keys at once', 100, 'bare mget + JSON.parse', {
  'bare mget + JSON.parse': async () => (await bare.mget(keys)).map((text) => JSON.parse(text)),
  'holdfast getMany': () => far.getMany(keys),
  'keyv getMany': () => keyvFar.get(keys),
  'bentocache, one by one (has no batch)': () => Promise.all(keys.map((key) => bento.use('far').get({ key }))),
})
const commands = await commandsOf(() => far.getMany(keys))
console.log(`\nholdfast getMany of 100 keys: ${commands} commands`)

console.log(
  '\n### invalidateTags, whatever the number of entries under the tag\n\n| entries | µs, median of 200 | commands |\n|---|---|---|',
)
for (const entries of [1, 1000, 100_000, Number(process.env.ENTRIES ?? 1_000_000)]) {
  const cache = createCache({ ...shared, namespace: `tag-${entries}` })
  for (let at = 0; at < entries; at += 2000) {
    const some = Array.from({ length: Math.min(2000, entries - at) }, (_, i) => [`e${at + i}`, at + i])
    await cache.setMany(some, { tags: ['all'] })
  }
  const times = []
  for (let i = 0; i < 200; i++) {
    const started = performance.now()
    await cache.invalidateTags('all')
    times.push((performance.now() - started) * 1000)
  }
  console.log(`| ${entries} | ${median(times).toFixed(0)} | ${await commandsOf(() => cache.invalidateTags('all'))} |`)
  await cache.close()
}

console.log(
  '\n### heap after reading distinct keys, local.maxBytes = 32 MiB\n\n| keys | heap used by the cache, MiB | entries kept |\n|---|---|---|',
)
await bare.flushall()
const bounded = createCache({ ...shared, namespace: 'bounded', local: { maxBytes: 32 * 1024 * 1024 } })
while (bounded.stats().local.mode !== 'tracking') await sleep(10)
global.gc?.()
const before = process.memoryUsage().heapUsed + process.memoryUsage().external
let read = 0
for (const total of [100_000, Number(process.env.ENTRIES ?? 1_000_000)]) {
  for (; read < total; read += 1000) {
    const some = Array.from({ length: 1000 }, (_, i) => `k${read + i}`)
    await bounded.setMany(
      some.map((key, i) => [key, { id: read + i, name: `product ${read + i}`, tags: ['a', 'b'], price: i / 7 }]),
    )
    await bounded.getMany(some)
    if (read % 50_000 === 0) await bare.flushall()
  }
  global.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  console.log(
    `| ${total} | ${((heapUsed + external - before) / 1024 / 1024).toFixed(1)} | ${bounded.stats().local.entries} |`,
  )
}
process.exit(0)

/** Every variant in every round, each round in another order, so that what the machine does meanwhile hits all alike. */
async function table(title, calls, baseline, variants) {
  const names = Object.keys(variants)
  const results = new Map(names.map((name) => [name, []]))
  for (const name of names) for (let i = 0; i < calls / 4; i++) await variants[name]()
  for (let round = 0; round < ROUNDS; round++) {
    const order = names.map((_, i) => names[(i + round) % names.length])
    for (const name of order) {
      const run = variants[name]
      const started = performance.now()
      for (let i = 0; i < calls; i++) await run()
      results.get(name).push(((performance.now() - started) * 1000) / calls)
    }
  }
  const ratios = (name) => results.get(name).map((each, round) => each / results.get(baseline)[round])
  console.log(`\n### ${title}\n\n| | µs per call | ratio to ${baseline} (min–max) |\n|---|---|---|`)
  for (const name of names) {
    const all = ratios(name)
    console.log(
      `| ${name} | ${median(results.get(name)).toFixed(2)} | ${median(all).toFixed(2)} (${Math.min(...all).toFixed(2)}–${Math.max(...all).toFixed(2)}) |`,
    )
  }
}

/** Callers that do not know of each other: each goes on as soon as it has its answer. */
async function fifty(run) {
  await Promise.all(
    Array.from({ length: 50 }, async () => {
      for (let i = 0; i < 20; i++) await run()
    }),
  )
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
}

async function commandsOf(run) {
  const count = async () => Number(/total_commands_processed:(\d+)/.exec(await bare.info('stats'))[1])
  const first = await count()
  await run()
  return (await count()) - first - 1
}
