import { defineScript, type RedisManager, type Script } from '../redis/index.js'

/** KEYS[1] the caller's record · ARGV[1] the channel · replies 1 where there was a record */
const resetScript: Script<number> = defineScript({
  name: 'rate-limit.reset',
  lua: `local n = redis.call('DEL', KEYS[1]) redis.call('PUBLISH', ARGV[1], KEYS[1]) return n`,
})

/** Deletes a caller's record and tells every process to forget it. Fails closed. */
export function reset(redis: RedisManager, limiter: string, key: string): Promise<boolean> {
  return redis.execute('rate-limit.reset', async (client) => {
    return (await resetScript.run(client, [key], [channelOf(redis, limiter)])) === 1
  })
}

/** Tells every process to ask Redis about a caller again. */
export function announce(redis: RedisManager, limiter: string, key: string): Promise<void> {
  return redis.execute('rate-limit.announce', async (client) => {
    await client.publish(channelOf(redis, limiter), key)
  })
}

/** `forget` is given the key that was reset, or `undefined` where messages may have been missed. */
export function listenForResets(
  redis: RedisManager,
  limiter: string,
  forget: (key: string | undefined) => void,
): () => void {
  const subscription = redis.subscriber.subscribe(channelOf(redis, limiter), forget, { onGap: () => forget(undefined) })
  return () => subscription.close()
}

function channelOf(redis: RedisManager, limiter: string): string {
  return redis.keys.key('rate', limiter, 'resets')
}
