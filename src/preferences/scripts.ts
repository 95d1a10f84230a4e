import { defineScript, type Script } from '../redis/index.js'

/**
 * A user's preferences are one hash; its empty field is the version, a random text that every write replaces.
 *
 * KEYS hash. ARGV new version, version it must have ('*': any), channel, number of values, then key and value of each,
 * then the keys to remove. Replies with 0 where the version is another one.
 */
export const writeScript: Script<number> = defineScript({
  name: 'preferences.write',
  lua: `
if ARGV[2] ~= '*' and (redis.call('HGET', KEYS[1], '') or '') ~= ARGV[2] then return 0 end
local values = 4 + 2 * ARGV[4]
for i = 5, values, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = values + 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
redis.call('HSET', KEYS[1], '', ARGV[1])
redis.pcall('PUBLISH', ARGV[3], KEYS[1])
return 1`,
})

/** KEYS hash. ARGV channel. */
export const eraseScript: Script<number> = defineScript({
  name: 'preferences.erase',
  lua: `
local erased = redis.call('UNLINK', KEYS[1])
redis.pcall('PUBLISH', ARGV[1], KEYS[1])
return erased`,
})
