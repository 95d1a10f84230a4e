import { defineScript, type RedisClient } from '../redis/index.js'
import { randomText } from './random.js'

/*
 * A tag is one key that holds a random version. An entry carries the versions read before its computation began and
 * is valid only while they are equal, so invalidating is one write per tag whatever the number of entries, and a
 * computation that began earlier cannot bring back what was invalidated. A version is never derived from the one
 * before it: one that was evicted and made anew equals none that was ever stored.
 */

export const VERSION_LENGTH = 12

function newVersion(): string {
  return randomText(9)
}

// KEYS versions; ARGV[1] TTL in ms, ARGV[i + 1] the version for KEYS[i] where it has none; replies with all versions
const ensureScript = defineScript<string[]>({
  name: 'cache.versions',
  lua: `
local versions = {}
for i, key in ipairs(KEYS) do
  local version = redis.call('GET', key)
  if not version or #version ~= ${VERSION_LENGTH} then
    version = ARGV[i + 1]
    redis.call('SET', key, version, 'PX', ARGV[1])
  elseif redis.call('PTTL', key) < ARGV[1] / 2 then
    redis.call('PEXPIRE', key, ARGV[1])
  end
  versions[i] = version
end
return versions`,
})

// KEYS versions; ARGV[1] TTL in ms, [2] channel, [3] `1` to publish, [i + 3] the new version of KEYS[i]
const replaceScript = defineScript<number>({
  name: 'cache.invalidate',
  lua: `
for i, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[i + 3], 'PX', ARGV[1])
  if ARGV[3] == '1' then redis.pcall('PUBLISH', ARGV[2], key) end
end
return #KEYS`,
})

/** Most keys per script call, below the limit of Lua's stack. */
const CHUNK = 1000

/**
 * The versions under these keys, made where they are missing, and kept for at least `lifetimeMs` from now: an entry
 * that outlives a version it depends on is merely missed.
 */
export async function ensureVersions(
  client: RedisClient,
  keys: readonly string[],
  lifetimeMs: number,
): Promise<string[]> {
  const ttl = Math.ceil(2 * lifetimeMs + 60_000)
  const chunks = await Promise.all(
    chunked(keys).map((chunk) => ensureScript.run(client, chunk, [ttl, ...chunk.map(newVersion)])),
  )
  return chunks.flat()
}

/** Gives each key a new version; in this order, where there are very many. */
export async function replaceVersions(
  client: RedisClient,
  keys: readonly string[],
  news: readonly [channel: string, always: string],
): Promise<void> {
  // A version without entries that depend on it need not live: the next entry makes or prolongs it.
  await Promise.all(
    chunked(keys).map((chunk) => replaceScript.run(client, chunk, [60_000, ...news, ...chunk.map(newVersion)])),
  )
}

function chunked(keys: readonly string[]): string[][] {
  const chunks: string[][] = []
  for (let at = 0; at < keys.length; at += CHUNK) chunks.push(keys.slice(at, at + CHUNK))
  return chunks
}
