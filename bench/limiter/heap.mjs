import { createRateLimiter, createRedisManager } from 'holdfast'
import { startRedis } from '../http/servers.mjs'

/** The heap after each 200 000 of a million distinct callers, each of whom is refused once. Run with --expose-gc. */
const CALLERS = 1_000_000
const STEP = 200_000

const { url } = await startRedis()
const up = createRedisManager({ url, logger: false, commandTimeout: 10_000 })
const away = createRedisManager({ url: 'redis://127.0.0.1:1', logger: false })
await up.ready()
console.log(
  `\nNode ${process.version}, ${new Date().toISOString().slice(0, 10)}, heap in MB after so many distinct callers\n`,
)
console.log('| | 200 000 | 400 000 | 600 000 | 800 000 | 1 000 000 |\n|---|---|---|---|---|---|')
await measure('Redis decides, refusals are remembered', createRateLimiter({ redis: up, limit: 1, window: '5s' }))
await measure(
  'Redis is away, counting in memory',
  createRateLimiter({ redis: away, limit: 1, window: '5s', onUnavailable: 'memory' }),
)
process.exit(0)

async function measure(title, limiter) {
  const cells = []
  for (let done = 0; done < CALLERS; done += STEP) {
    let next = done
    const work = async () => {
      while (next < done + STEP) {
        const caller = `caller-${next++}`
        await limiter.consume(caller)
        await limiter.consume(caller)
      }
    }
    await Promise.all(Array.from({ length: 128 }, work))
    await new Promise((resolve) => setTimeout(resolve, 200))
    globalThis.gc()
    cells.push((process.memoryUsage().heapUsed / 1e6).toFixed(1))
  }
  console.log(`| ${title} | ${cells.join(' | ')} |`)
}
