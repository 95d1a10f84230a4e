import { inspect } from 'node:util'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { closeAll, get, ready, watched } from './support.js'

const SECRET = 'hunter2-correct-horse'
const printed: string[] = []
const spies = (['log', 'info', 'warn', 'error', 'debug'] as const).map((level) =>
  jest
    .spyOn(console, level)
    .mockImplementation((...args) => void printed.push(args.map((arg) => inspect(arg)).join(' '))),
)

afterEach(closeAll)
afterAll(() => {
  for (const spy of spies) spy.mockRestore()
  expect(printed).toEqual([])
})

describe('a server with a password', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis({ password: SECRET })
    await server.client().call('ACL', 'SETUSER', 'shop', 'on', `>${SECRET}`, '~*', '+@all')
  })
  afterAll(() => server.stop())

  test('is used with the password in the URL, in the options, and with a user', async () => {
    const { port } = server
    for (const options of [
      { url: server.url },
      { port, password: SECRET },
      { port, username: 'shop', password: SECRET },
      { url: `redis://shop:${SECRET}@127.0.0.1:${port}` },
    ]) {
      const { redis } = await ready(options)
      expect(await get(redis)).toBeNull()
    }
  })

  test.each([
    ['a wrong password', `${SECRET}-wrong`, 'WRONGPASS'],
    ['no password', undefined, 'NOAUTH'],
  ])(
    'with %s the app lives, the cause is in health, the secret nowhere, and attempts are few',
    async (_name, password, kind) => {
      const { redis, lines, events } = watched({ port: server.port, password })
      await eventually(() => redis.state === 'down')
      expect(await get(redis)).toBe('down')
      const failure = await redis.execute('get', (client) => client.get('a')).catch((error) => error)
      const health = await redis.health()
      expect(health.lastError?.message).toBe(kind)
      const before = await connections(server)
      await new Promise((resolve) => setTimeout(resolve, 1000))
      expect((await connections(server)) - before).toBeLessThanOrEqual(8)
      expect(events).toEqual(['down'])
      expect(inspect([failure, health, lines], { depth: 10 })).not.toContain(SECRET)
    },
  )

  test('a password that becomes right is picked up', async () => {
    await server.client().call('ACL', 'SETUSER', 'late', 'on', '>other', '~*', '+@all')
    const { redis } = watched({ port: server.port, username: 'late', password: SECRET })
    await eventually(() => redis.state === 'down')
    await server.client().call('ACL', 'SETUSER', 'late', `>${SECRET}`)
    expect(await redis.ready('5s')).toBe(true)
  })

  test('a user that is removed at run time: down, without its secret, and back when it returns', async () => {
    const user = ['ACL', 'SETUSER', 'gone', 'on', `>${SECRET}`, '~*', '+@all'] as const
    await server.client().call(...user)
    const { redis, lines } = await ready({ port: server.port, username: 'gone', password: SECRET })
    await server.client().call('ACL', 'DELUSER', 'gone')
    await eventually(() => redis.state === 'down')
    await eventually(async () => (await redis.health()).lastError?.message === 'WRONGPASS')
    expect(inspect([await redis.health(), lines], { depth: 10 })).not.toContain(SECRET)
    await server.client().call(...user)
    expect(await redis.ready('5s')).toBe(true)
  })

  test('what a user may not do is an answer, not an outage', async () => {
    await server.client().call('ACL', 'SETUSER', 'reader', 'on', `>${SECRET}`, '~*', '+@read', '+@connection', '+info')
    const { redis, events, lines } = await ready({ port: server.port, username: 'reader', password: SECRET })
    for (let i = 0; i < 10; i++) {
      await expect(redis.execute('write', (client) => client.set('a', SECRET))).rejects.toMatchObject({
        code: 'ERR_HOLDFAST_REDIS_COMMAND',
        kind: 'NOPERM',
      })
    }
    const reason = await redis.attempt(
      'write',
      (client) => client.set('a', SECRET),
      (why) => why,
    )
    expect(reason).toBe('error')
    await redis.attempt(
      'write',
      (client) => client.set('a', SECRET),
      (why) => why,
    )
    expect(events).toEqual(['up'])
    expect(lines.filter((line) => line.includes('HOLDFAST_REDIS_ERROR:write:NOPERM'))).toHaveLength(1)
    expect(lines.join()).not.toContain(SECRET)
  })
})

describe('the database index', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  test('is selected', async () => {
    const { redis } = await ready({ url: `${server.url}/3` })
    await redis.execute('set', (client) => client.set('a', 'in 3'))
    expect(await server.client().get('a')).toBeNull()
    await redis.pool.use('set', (client) => client.set('b', 'in 3'))
    expect(await server.client().get('b')).toBeNull()
  })

  test('that the server does not have: down, and nothing is written to another database', async () => {
    const { redis, events } = watched({ port: server.port, db: 99 })
    await eventually(() => redis.state === 'down')
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(redis.available).toBe(false)
    expect(events).not.toContain('up')
    expect((await redis.health()).lastError?.message).toBe('ERR DB index is out of range')
    await expect(redis.pool.use('set', (client) => client.set('leak', '1'))).rejects.toMatchObject({ reason: 'down' })
    expect(await server.client().exists('leak')).toBe(0)
  })
})

describe('TLS', () => {
  let server: RedisServer
  let other: RedisServer
  beforeAll(async () => {
    ;[server, other] = await Promise.all([startRedis({ tls: true }), startRedis({ tls: true })])
  })
  afterAll(() => Promise.all([server.stop(), other.stop()]))

  test('rediss: with its authority works, for the shared, the pooled and the subscribing connection', async () => {
    const { redis } = await ready({ url: server.url, tls: { ca: server.ca as string } })
    expect(await get(redis)).toBeNull()
    expect(await redis.pool.use('get', (client) => client.get('a'))).toBeNull()
    expect(await redis.subscriber.subscribe('news', () => {}).ready()).toBe(true)
  })

  test('host and port with tls works', async () => {
    const { redis } = await ready({ host: 'localhost', port: server.port, tls: { ca: server.ca as string } })
    expect(await get(redis)).toBeNull()
  })

  test.each([
    ['no authority', () => ({})],
    ['the wrong authority', () => ({ tls: { ca: other.ca as string } })],
    ['another name', () => ({ tls: { ca: server.ca as string, servername: 'elsewhere.example' } })],
  ])('%s: down, the app lives, health says why', async (_name, options) => {
    const { redis } = watched({ url: server.url, ...options() })
    await eventually(() => redis.state === 'down')
    expect(await get(redis)).toBe('down')
    const { lastError } = await redis.health()
    expect(lastError?.message).toMatch(/^(UNABLE_TO|SELF_SIGNED|ERR_TLS_CERT|CERT_)/)
    expect(lastError?.message).not.toContain('127.0.0.1')
  })

  test('plain text to a TLS port, and TLS to a plain port: down, not hung', async () => {
    const plain = await startRedis()
    const wrongWays = [watched({ port: server.port }), watched({ url: `rediss://127.0.0.1:${plain.port}` })]
    for (const { redis } of wrongWays) {
      await eventually(() => redis.state === 'down', { within: 3000 })
      expect(await get(redis)).toBe('down')
    }
    await closeAll()
    await plain.stop()
  })
})

async function connections(server: RedisServer): Promise<number> {
  return Number(/total_connections_received:(\d+)/.exec(await server.client().info('stats'))?.[1])
}
