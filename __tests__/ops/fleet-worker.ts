import { createMonitor, createUpkeep } from '../../src/ops/index.js'
import { createRedisManager } from '../../src/redis/index.js'

/** What a process of the fleet says: an alert it told, whether it has the watch, a turn of its task (`from`, `to`: ms). */
export type Said =
  | { readonly type: 'told'; readonly text: string }
  | { readonly type: 'watching'; readonly value: boolean }
  | { readonly type: 'turn'; readonly from: number; readonly to: number }

/** Long enough that a loaded machine does not lose its lease. */
const TASK = { every: '1s', budget: '1s' } as const

const [url = ''] = process.argv.slice(2)
const redis = createRedisManager({ url, logger: false, env: {}, commandTimeout: '1s' })
const say = (said: Said): void => void process.send?.(said)

await redis.ready('20s')
const monitor = createMonitor({
  redis,
  every: '200ms',
  samples: 1,
  scope: 'fleet',
  thresholds: { hitRatio: false, slowCalls: false, latency: false, fragmentation: false },
  onAlert: ({ condition }) => say({ type: 'told', text: `+${condition}` }),
  onRecovery: ({ condition }) => say({ type: 'told', text: `-${condition}` }),
})
const upkeep = createUpkeep({
  redis,
  tasks: {
    clean: {
      ...TASK,
      run: async () => {
        const from = Date.now()
        await new Promise((resolve) => setTimeout(resolve, 20))
        say({ type: 'turn', from, to: Date.now() })
      },
    },
  },
})
let watching: boolean | undefined
setInterval(() => {
  const [source] = redis.sources().filter(({ feature }) => feature === 'monitor')
  const value = source?.status().values.watching === true
  if (value !== watching) say({ type: 'watching', value })
  watching = value
}, 50)
process.on('message', async () => {
  await Promise.all([monitor.close(), upkeep.close()])
  await redis.close()
  process.exit(0)
})
