import { connect as connectTcp, type Socket } from 'node:net'
import { afterEach, expect, it } from '@jest/globals'
import { eventually } from '../support/eventually.js'
import { startRedis } from '../support/redis-server.js'
import { afterwards, cleanAll, connect, live, serve } from './support.js'

afterEach(cleanAll)

const FULL = process.env.HOLDFAST_TEST_FULL === '1'
const KB = 1024
const payload = 'x'.repeat(15 * KB)

/** A client that asks and then never reads. */
function stalled(url: string, topic: string): Socket {
  const { hostname, port, pathname } = new URL(url)
  const socket = connectTcp(Number(port), hostname)
  socket.pause()
  socket.on('error', () => {})
  const host = `Host: ${hostname}`
  socket.write(`GET ${pathname} HTTP/1.1\r\n${host}\r\nX-User: ${Math.random()}\r\nX-Topics: ${topic}\r\n\r\n`)
  afterwards(() => socket.destroy())
  return socket
}

async function world(options = {}) {
  const server = await startRedis()
  afterwards(() => server.stop())
  return serve(server.url, options)
}

const clients = FULL ? 200 : 60

it(`keeps at most 64 KiB for each of ${clients} clients that do not read, and others are not held up`, async () => {
  const { url, notifier, server, redis } = await world({ maxPerUser: 1000, history: 20 })
  const buffered: number[] = []
  const sockets = new Set<{ writableLength: number }>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  for (let n = 0; n < clients; n++) stalled(url, 'flood')
  await eventually(() => notifier.stats().connections === clients, { within: 10_000 })
  const reader = await live(url, { topics: 'flood' })
  const before = process.memoryUsage()
  let sent = 0
  // Kernels take megabytes before they push back.
  while (notifier.stats().lagging < clients && sent < 1200) {
    await Promise.all(
      Array.from({ length: 5 }, () => redis.ready().then(() => notifier.broadcast('flood', { data: payload }))),
    )
    sent += 5
    buffered.push(Math.max(...[...sockets].map((socket) => socket.writableLength)))
  }
  expect(notifier.stats().lagging).toBe(clients)
  for (let n = 0; n < 50; n++) await notifier.broadcast('flood', { data: payload })
  buffered.push(Math.max(...[...sockets].map((socket) => socket.writableLength)))
  expect(Math.max(...buffered)).toBeLessThanOrEqual(64 * KB + 20 * KB)
  const after = process.memoryUsage()
  const grown = after.heapUsed + after.external - before.heapUsed - before.external
  expect(grown).toBeLessThan(clients * 100 * KB + 64 * KB * KB)
  await notifier.notify('ada', { type: 'end', data: 1 })
  await reader.until('end')
}, 120_000)

it('catches a slow client up from the stream, in order and once, when it reads again', async () => {
  const { url, notifier } = await world({ history: 1000 })
  const client = await live(url)
  client.response.pause()
  const total = 500
  for (let n = 0; n < total; n++) await notifier.notify('ada', { data: [n, payload] })
  await eventually(() => notifier.stats().lagging === 1, { within: 10_000 })
  client.response.resume()
  await client.until('message', total)
  expect(client.data().map((data) => (data as [number])[0])).toEqual(Array.from({ length: total }, (_, n) => n))
  expect(client.of('gap')).toEqual([])
  expect(notifier.stats().lagging).toBe(0)
}, 60_000)

it('closes a client that leaves its stream unread for too long, which then comes back to where it was', async () => {
  const { url, notifier, redis } = await world({ history: 1000, stallTimeout: 300 })
  const reasons: unknown[] = []
  redis.on('notifications.stream', (event) => event.type === 'closed' && reasons.push(event.reason))
  const client = await live(url)
  client.response.pause()
  const total = 500
  for (let n = 0; n < total; n++) await notifier.notify('ada', { data: [n, payload] })
  await eventually(() => reasons.length === 1, { within: 10_000 })
  expect(reasons).toEqual(['stalled'])
  expect(notifier.stats().connections).toBe(0)
  client.response.resume()
  await eventually(() => client.closed)
  const back = await connect(url, { lastEventId: client.lastEventId })
  await eventually(() => client.data().length + back.data().length === total, { within: 10_000 })
  expect([...client.data(), ...back.data()].map((data) => (data as [number])[0])).toEqual(
    Array.from({ length: total }, (_, n) => n),
  )
}, 60_000)
