import { createRedisManager, createSecurityLog } from 'holdfast'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { startRedis } from '../http/servers.mjs'

const EVENTS = 40_000
const ROUNDS = 5
const PER_TICK = 200

const details = (n) => ({
  userId: `user-${n % 100}`,
  ip: `192.0.2.${n % 200}`,
  userAgent:
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36',
  method: 'POST',
  path: '/orders',
  requestId: `request-${n}`,
  amount: n,
})

/** Both write their lines to the same kind of place, synchronously, as a log that must survive a crash does. */
const target = () => pino.destination({ dest: '/dev/null', sync: true })

async function holdfast(url) {
  const redis = createRedisManager({ url, logger: false, keyPrefix: 'bench' })
  await redis.ready()
  const destination = target()
  const log = createSecurityLog({ redis, sink: (_event, json) => destination.write(`${json}\n`), maxEvents: 100_000 })
  return {
    record: (n) => log.record('sensitive_read', details(n)),
    settled: () => log.flush('30s'),
    close: async () => {
      await log.close()
      await redis.close()
    },
  }
}

async function plain(url) {
  const client = new Redis(url)
  await client.ping()
  const logger = pino({ redact: ['password', 'token', 'authorization'] }, target())
  let pending = Promise.resolve()
  return {
    record(n) {
      const event = { event: 'sensitive_read', ...details(n) }
      logger.warn(event)
      pending = client.xadd('plain', 'MAXLEN', '~', 100_000, '*', 'e', JSON.stringify(event))
    },
    settled: () => pending,
    close: () => client.quit(),
  }
}

async function measure({ record, settled }) {
  let recording = 0
  const started = performance.now()
  for (let n = 0; n < EVENTS; ) {
    const before = process.cpuUsage()
    for (let i = 0; i < PER_TICK; i++) record(n++)
    const { user, system } = process.cpuUsage(before)
    recording += user + system
    await new Promise((resolve) => setImmediate(resolve))
  }
  await settled()
  return { perSecond: (EVENTS / (performance.now() - started)) * 1000, micros: recording / EVENTS }
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

/** An hour of 100 events a second without Redis, in as little time as it takes. */
async function hourWithoutRedis() {
  const redis = createRedisManager({ env: {}, logger: false })
  const log = createSecurityLog({ redis, sink: () => {} })
  const heaps = []
  for (let minute = 1; minute <= 60; minute++) {
    for (let n = 0; n < 6000; n++) {
      log.record(n % 10 === 0 ? 'authn_login_fail' : 'sensitive_read', { ...details(n), account: `account-${n}` })
      if (n % PER_TICK === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    globalThis.gc?.()
    if (minute === 5 || minute === 60) heaps.push(process.memoryUsage().heapUsed / 2 ** 20)
  }
  const { buffered, bufferedBytes } = log.stats()
  await log.close()
  await redis.close()
  return { after5Minutes: heaps[0], after60Minutes: heaps[1], buffered, bufferedBytes }
}

if (process.argv.includes('--hour')) {
  const { after5Minutes, after60Minutes, buffered, bufferedBytes } = await hourWithoutRedis()
  console.log(`heap after 5 minutes ${after5Minutes.toFixed(0)} MiB, after 60 minutes ${after60Minutes.toFixed(0)} MiB`)
  console.log(`${buffered} events wait, ${(bufferedBytes / 2 ** 20).toFixed(1)} MiB`)
} else {
  const redis = await startRedis()
  const results = { holdfast: [], 'pino + XADD per event': [] }
  const makers = { holdfast, 'pino + XADD per event': plain }
  for (let round = 0; round <= ROUNDS; round++) {
    const order = round % 2 === 0 ? Object.keys(makers) : Object.keys(makers).reverse()
    for (const name of order) {
      const subject = await makers[name](redis.url)
      const result = await measure(subject)
      await subject.close()
      // The first round warms up.
      if (round > 0) results[name].push(result)
    }
  }
  console.log('| | events/s, written to Redis | µs of CPU per event on the calling path |\n|---|---|---|')
  for (const [name, list] of Object.entries(results)) {
    const rate = median(list.map(({ perSecond }) => perSecond))
    console.log(`| ${name} | ${Math.round(rate)} | ${median(list.map(({ micros }) => micros)).toFixed(1)} |`)
  }
  await redis.client.quit()
  process.exit(0)
}
