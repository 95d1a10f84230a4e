import { setTimeout as sleep } from 'node:timers/promises'
import { Redis, type RedisOptions } from 'ioredis'
import type { RedisProcess } from './redis-process.js'

export type Connection = Omit<RedisOptions, 'replyMapping'>

export async function untilReady(started: RedisProcess, connection: Connection): Promise<void> {
  const deadline = performance.now() + 10_000
  while ((await answeringProcess(connection)) !== started.pid) {
    if (started.running && performance.now() < deadline) {
      await sleep(5)
      continue
    }
    await started.kill()
    throw new Error(`redis-server on port ${connection.port} did not start:\n${started.output()}`)
  }
}

// A server that another process started may hold the port and answer in place of ours.
async function answeringProcess(connection: Connection): Promise<number | undefined> {
  const probe = quiet(new Redis({ ...connection, retryStrategy: () => null, connectTimeout: 1000 }))
  try {
    await probe.connect()
    return Number(/process_id:(\d+)/.exec(await probe.info('server'))?.[1])
  } catch {
    return undefined
  } finally {
    probe.disconnect()
  }
}

// An 'error' event nobody listens to would end the test run.
export function quiet(redis: Redis): Redis {
  return redis.on('error', () => {})
}
