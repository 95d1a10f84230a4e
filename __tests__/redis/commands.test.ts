import { type BatchReply, batch, defineScript, type RedisManager, type Script, scan } from '../../src/redis/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { closeAll, ready } from './support.js'

let server: RedisServer
let redis: RedisManager

beforeAll(async () => {
  server = await startRedis()
})
beforeEach(async () => {
  await server.client().flushall()
  ;({ redis } = await ready({ url: server.url }))
})
afterEach(closeAll)
afterAll(() => server.stop())

async function calls(command: string): Promise<number> {
  const stats = await server.client().info('commandstats')
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
}

describe('batch', () => {
  const run = (...commands: Parameters<typeof batch>[1]): Promise<BatchReply[]> =>
    redis.execute('batch', (client) => batch(client, commands))

  test('replies come in the order of the commands, Buffers where asked for', async () => {
    expect(
      await run(
        ['set', 'a', '1'],
        ['incrby', 'a', 4],
        ['getBuffer', 'a'],
        ['get', 'none'],
        ['set', 'b', Buffer.from([255])],
      ),
    ).toEqual([
      [null, 'OK'],
      [null, 5],
      [null, Buffer.from('5')],
      [null, null],
      [null, 'OK'],
    ])
    expect(await server.client().getBuffer('b')).toEqual(Buffer.from([255]))
  })

  test('nothing to send is no round trip', async () => {
    expect(await run()).toEqual([])
  })

  test('a command that Redis refuses has its error in its place, and the others run', async () => {
    const replies = await run(['set', 'text', 'x'], ['lpush', 'text', 'y'], ['get', 'text'])
    expect(replies[1]?.[0]?.message).toMatch(/^WRONGTYPE/)
    expect([replies[0], replies[2]]).toEqual([
      [null, 'OK'],
      [null, 'x'],
    ])
  })
})

describe('defineScript', () => {
  const append = defineScript<string>({
    name: 'append',
    lua: `redis.call('APPEND', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])`,
  })
  const run = (text: string | Buffer, script: Script<unknown> = append): Promise<unknown> =>
    redis.execute('append', (client) => script.run(client, ['text'], [text]))

  test('the text of a script is sent once per server, its digest from then on', async () => {
    await server.client().script('FLUSH')
    const before = { eval: await calls('eval'), evalsha: await calls('evalsha') }
    for (const letter of 'abc') await run(letter)
    expect(await server.client().get('text')).toBe('abc')
    expect((await calls('eval')) - before.eval).toBe(1)
    expect((await calls('evalsha')) - before.evalsha).toBe(3)
  })

  test('after SCRIPT FLUSH each of 50 callers at once runs it exactly once', async () => {
    await run('')
    await server.client().script('FLUSH')
    await Promise.all(Array.from({ length: 50 }, () => run('x')))
    expect((await server.client().strlen('text')) as number).toBe(50)
  })

  test('no other error sends it again', async () => {
    const failing = defineScript({
      name: 'failing',
      lua: `redis.call('INCR', 'count:' .. KEYS[1]) return redis.error_reply('NOSCRIPTED nothing of the kind')`,
    })
    await run('', failing).catch(() => {})
    const before = await calls('eval')
    const error = await run('', failing).catch((reason) => reason)
    expect(error).toMatchObject({ code: 'ERR_HOLDFAST_REDIS_COMMAND', kind: 'NOSCRIPTED' })
    expect(await calls('eval')).toBe(before)
    expect(await server.client().get('count:text')).toBe('2')
  })

  test('binary scripts take and return bytes untouched, also when they have to be loaded', async () => {
    const binary = defineScript<Buffer>({
      name: 'binary',
      lua: `redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])`,
      binary: true,
    })
    const bytes = Buffer.from([0, 255, 13, 10, 128])
    await server.client().script('FLUSH')
    expect(await run(bytes, binary)).toEqual(bytes)
    expect(await run(bytes, binary)).toEqual(bytes)
  })
})

describe('scan', () => {
  async function scanned(pattern: string, count?: number): Promise<string[]> {
    const keys: string[] = []
    for await (const batchOfKeys of scan(redis, pattern, count === undefined ? {} : { count }))
      keys.push(...batchOfKeys)
    return keys
  }

  test('finds every key of a pattern over many steps, and none beside it', async () => {
    const mine = Array.from({ length: 1000 }, (_, index) => redis.keys.key('cache', 'products', index))
    const others = Array.from({ length: 200 }, (_, index) => redis.keys.key('cache', 'users', index))
    await server.client().mset(...[...mine, ...others].flatMap((key) => [key, '1']))
    expect(new Set(await scanned(redis.keys.pattern('cache', 'products'), 50))).toEqual(new Set(mine))
  })

  test('glob characters in parts match only themselves', async () => {
    const hostile = ['*', '?', '[a-z]', 'a\\', '{x}']
    await server.client().mset(...[...hostile, 'b', 'x'].flatMap((part) => [redis.keys.key('f', part, 'k'), '1']))
    for (const part of hostile) {
      expect(await scanned(redis.keys.pattern('f', part))).toEqual([redis.keys.key('f', part, 'k')])
    }
  })

  test('rejects where Redis is away, rather than finding nothing', async () => {
    await redis.close()
    await expect(scanned('*')).rejects.toMatchObject({ reason: 'closed' })
  })
})

describe('attempt and execute', () => {
  test('a command that Redis refuses: the fallback, or a RedisCommandError; no miss', async () => {
    await server.client().set('text', 'x')
    for (let i = 0; i < 5; i++) {
      expect(
        await redis.attempt<unknown>(
          'push',
          (client) => client.lpush('text', 'y'),
          (reason) => reason,
        ),
      ).toBe('error')
    }
    await expect(redis.execute('push', (client) => client.lpush('text', 'y'))).rejects.toMatchObject({
      kind: 'WRONGTYPE',
      operation: 'push',
      message: 'Redis refused push: WRONGTYPE',
    })
    expect(redis.state).toBe('up')
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('a bug')
      },
    ],
    ['rejects', () => Promise.reject(new Error('a bug'))],
    [
      'throws what is no error',
      () => {
        throw 'a bug'
      },
    ],
    ['rejects with nothing', () => Promise.reject()],
  ])('a command that %s: the fallback, or what was thrown; no miss', async (_name, command) => {
    for (let i = 0; i < 5; i++) expect(await redis.attempt<string>('bug', command, (reason) => reason)).toBe('error')
    const thrown = await redis.execute('bug', command).then(
      () => 'nothing',
      (error) => error?.message ?? error,
    )
    expect([undefined, 'a bug']).toContain(thrown)
    expect(redis.state).toBe('up')
  })

  test('a command that forgets its promise still settles', async () => {
    expect(await redis.attempt('sync', (() => 7) as never, () => 0)).toBe(7)
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('no fallback')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no fallback'))],
  ])("a fallback that %s is the caller's own failure, whatever asked for it", async (_name, fallback) => {
    await expect(redis.attempt('get', () => Promise.reject(new Error('a bug')), fallback)).rejects.toThrow(
      'no fallback',
    )
    await redis.close()
    await expect(redis.attempt('get', (client) => client.get('a'), fallback)).rejects.toThrow('no fallback')
  })
})
