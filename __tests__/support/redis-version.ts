import { execFileSync } from 'node:child_process'
import { findRedis } from '../../scripts/find-redis.js'

/** Major version of the server the tests run on; Valkey counts as the Redis it came from, 7, or later. */
export const redisMajor: number = majorOf(
  execFileSync(findRedis() ?? 'redis-server', ['--version'], { encoding: 'utf8' }),
)

function majorOf(text: string): number {
  const major = Number(/\bv=(\d+)/.exec(text)?.[1])
  if (!Number.isInteger(major)) throw new Error(`no version in ${JSON.stringify(text)}`)
  return major
}
