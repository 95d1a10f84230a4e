import { createPubSub, createRedisManager } from 'holdfast'
import { defineChannel } from 'holdfast/pubsub'
import { Redis } from 'ioredis'
import { startRedis } from '../http/servers.mjs'

const ROUNDS = Number(process.argv[2] ?? 15)
const MESSAGES = 20_000
const IN_FLIGHT = 64

const redis = await startRedis()
const manager = createRedisManager({ url: redis.url, logger: false, keyPrefix: 'bench', commandTimeout: '5s' })
await manager.ready('10s')
const bus = createPubSub({ redis: manager })
const publisher = new Redis(redis.url)
const subscriber = new Redis(redis.url)

/** As a schema library answers, without its cost. */
const schema = { '~standard': { version: 1, vendor: 'bench', validate: (value) => ({ value }) } }
const prices = defineChannel('prices')
const checked = defineChannel('checked', { schema })
let received = () => {}

/** Each publishes one message; whatever arrives calls `received` with the value. */
const subjects = {
  'plain ioredis': (message) => publisher.publish('plain', JSON.stringify(message)),
  holdfast: (message) => bus.publish(prices, message),
  'holdfast, with a schema': (message) => bus.publish(checked, message),
}
await subscriber.subscribe('plain')
subscriber.on('message', (_channel, text) => received(JSON.parse(text)))
await bus.subscribe(prices, (message) => received(message)).ready('10s')
await bus.subscribe(checked, (message) => received(message)).ready('10s')

/** Published by one connection and received by another of this process; rate and CPU of both ends together. */
async function measure(publish) {
  let arrived = 0
  let sent = 0
  const all = new Promise((resolve) => {
    received = ({ sku }) => sku === 'anchor' && ++arrived === MESSAGES && resolve()
  })
  const cpu = process.cpuUsage()
  const started = performance.now()
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while (sent++ < MESSAGES) await publish({ sku: 'anchor', cents: 12_000 + sent, currency: 'EUR' })
    }),
  )
  await all
  const { user, system } = process.cpuUsage(cpu)
  return { rate: (MESSAGES / (performance.now() - started)) * 1000, cpu: (user + system) / MESSAGES }
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]

const points = Object.fromEntries(Object.keys(subjects).map((name) => [name, []]))
for (const publish of Object.values(subjects)) await measure(publish)
for (let round = 0; round < ROUNDS; round++) {
  const order = Object.entries(subjects)
  if (round % 2) order.reverse()
  for (const [name, publish] of order) points[name].push(await measure(publish))
}
const [baseline] = Object.values(points)
console.log(`messages/s and CPU µs per message (median of ${ROUNDS} rounds), ratios to plain ioredis within a round`)
for (const [name, list] of Object.entries(points)) {
  const rate = median(list.map((point) => point.rate))
  const ratio = median(list.map((point, round) => point.rate / baseline[round].rate))
  const cpu = median(list.map((point) => point.cpu))
  const cpuRatio = median(list.map((point, round) => point.cpu / baseline[round].cpu))
  console.log(
    `${Math.round(rate).toString().padStart(8)}  ${ratio.toFixed(2)}   ${cpu.toFixed(1).padStart(6)} µs  ${cpuRatio.toFixed(2)}  ${name}`,
  )
}
process.exit(0)
