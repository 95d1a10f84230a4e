import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from '@jest/globals'
import type { RedisManager } from '../../src/redis/index.js'
import { createWriter } from '../../src/security/writer.js'
import { useRedis } from '../support/use-redis.js'

let redis: RedisManager

useRedis(
  (own) => {
    redis = own.redis
  },
  { manager: { commandTimeout: 75 } },
)

it('finds the size of batch that Redis can take within its deadline', async () => {
  const committed: string[] = []
  const sizes: number[] = []
  const writer = createWriter({
    redis,
    appender: {
      async append(_client, entries) {
        sizes.push(entries.length)
        await sleep(entries.length)
      },
      commit: (entries) => void committed.push(...entries.map(({ id }) => id)),
    },
    bounds: { maxEvents: 10_000, maxBytes: 1e7 },
    flushInterval: 0,
    now: Date.now,
    onGap: () => {},
  })
  const ids = Array.from({ length: 600 }, (_, n) => `e${n}`)
  for (const id of ids) writer.push({ id, level: 'critical', at: 0, json: '{}', audit: false, user: undefined })
  const deadline = performance.now() + 20_000
  while (writer.ring.size > 0 && performance.now() < deadline) await sleep(20)
  expect(committed).toEqual(ids)
  expect(sizes[0]).toBe(500)
  expect(Math.min(...sizes)).toBeLessThan(75)
  await writer.close(100)
})
