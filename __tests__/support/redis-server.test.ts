import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import { Redis } from 'ioredis'
import { eventually } from './eventually.js'
import { type RedisServer, startRedis } from './redis-server.js'

const unanswered = Symbol('unanswered')

function within<T>(ms: number, reply: Promise<T>): Promise<T | typeof unanswered> {
  const timeout = new Promise<typeof unanswered>((resolve) => setTimeout(() => resolve(unanswered), ms).unref())
  return Promise.race([reply, timeout])
}

describe('a real server', () => {
  let server: RedisServer

  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  test('is empty and keeps what it is given', async () => {
    expect(await server.client().dbsize()).toBe(0)
    await server.client().set('greeting', 'hello')
    expect(await server.client().get('greeting')).toBe('hello')
  })

  test('hangs its clients while paused and answers them when resumed', async () => {
    const client = server.client()
    await client.ping()
    server.pause()
    const reply = client.ping()
    expect(await within(150, reply)).toBe(unanswered)
    server.resume()
    expect(await reply).toBe('PONG')
  })

  test('refuses connections once killed and comes back empty on the same port', async () => {
    await server.client().set('greeting', 'hello')
    await server.kill()
    const late = new Redis(server.port, { retryStrategy: () => null, lazyConnect: true })
    late.on('error', () => {})
    await expect(late.connect()).rejects.toThrow()
    await server.restart()
    expect(await server.client().dbsize()).toBe(0)
  })

  test('restarts many times in a row, running, paused or dead', async () => {
    for (let round = 0; round < 5; round++) {
      await server.restart()
      server.pause()
      await server.restart()
      await server.kill()
      await server.restart()
    }
    expect(await server.client().ping()).toBe('PONG')
  })
})

test('asks for the password it was started with', async () => {
  const server = await startRedis({ password: 'p@ss word' })
  const stranger = new Redis(server.port, '127.0.0.1')
  stranger.on('error', () => {})
  await expect(stranger.get('a')).rejects.toThrow('NOAUTH')
  stranger.disconnect()
  const friend = new Redis(server.url)
  expect(await friend.get('a')).toBeNull()
  friend.disconnect()
  await server.stop()
})

test('says what the server said when it does not start', async () => {
  await expect(startRedis({ args: ['--no-such-option', '1'] })).rejects.toThrow(/Bad directive/)
})

test('does not mistake a server already on the port for its own', async () => {
  const first = await startRedis()
  await expect(startRedis({ port: first.port })).rejects.toThrow(/already in use/)
  await first.stop()
})

test('stopping twice, or while paused, is fine', async () => {
  const server = await startRedis()
  server.pause()
  await server.stop()
  await server.stop()
})

test('a server whose owner is killed outright dies too, even paused', async () => {
  const script = `
    import { startRedis } from './__tests__/support/redis-server.ts'
    const server = await startRedis()
    server.pause()
    console.log(server.port)
  `
  const owner = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const port = await new Promise<number>((resolve) => {
    owner.stdout.once('data', (line: Buffer) => resolve(Number(line)))
  })
  expect(await accepts(port)).toBe(true)
  owner.kill('SIGKILL')
  await eventually(async () => !(await accepts(port)))
})

// The kernel completes the handshake for a paused process, and for no dead one.
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
