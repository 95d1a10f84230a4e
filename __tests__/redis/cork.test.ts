import { Writable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import type { RedisClient } from '../../src/redis/client.js'
import { Cork } from '../../src/redis/cork.js'

/** A client as far as Cork looks at it, and the packets that left. */
function clientOf(): { client: RedisClient; stream: Writable; packets: number[] } {
  const packets: number[] = []
  const stream = new Writable({
    write(_chunk, _encoding, done) {
      packets.push(1)
      done()
    },
    writev(chunks, done) {
      packets.push(chunks.length)
      done()
    },
  })
  return { client: { stream } as unknown as RedisClient, stream, packets }
}

test('what is sent while one piece of code runs leaves as one packet, before anything else happens', async () => {
  const { client, stream, packets } = clientOf()
  const cork = new Cork()
  for (let n = 0; n < 3; n++) {
    cork.hold(client, n)
    stream.write('PING')
  }
  expect(packets).toEqual([])
  await Promise.resolve().then(() => new Promise((resolve) => process.nextTick(resolve)))
  expect(packets).toEqual([3])
})

test('under load what is sent in one turn of the event loop leaves as one packet', async () => {
  const { client, stream, packets } = clientOf()
  const cork = new Cork()
  for (let n = 10; n < 15; n++) {
    cork.hold(client, n)
    stream.write('PING')
    await Promise.resolve()
  }
  expect(packets).toEqual([])
  await turn()
  expect(packets).toEqual([5])
})

test('a connection that is lost and replaced in between neither keeps the new one held nor throws', async () => {
  const [old, fresh] = [clientOf(), clientOf()]
  const cork = new Cork()
  cork.hold(old.client, 10)
  old.stream.write('PING')
  old.stream.destroy()
  cork.hold(fresh.client, 10)
  fresh.stream.write('PING')
  await turn()
  cork.hold(fresh.client, 10)
  fresh.stream.write('PING')
  await turn()
  expect(fresh.packets).toEqual([1, 1])
  cork.hold({ stream: undefined } as unknown as RedisClient, 10)
  cork.hold(old.client, 10)
})
