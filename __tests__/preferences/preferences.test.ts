import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { createPreferences, type Preferences } from '../../src/preferences/index.js'
import type { RedisManager } from '../../src/redis/index.js'
import { closeAll, ready } from '../redis/support.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

interface Values {
  theme: string
  pageSize: number
  beta: boolean
  tags: string[]
  layout: { columns: number; hidden?: string[] }
  note: unknown
}

const defaults: Values = {
  theme: 'light',
  pageSize: 20,
  beta: false,
  tags: ['news'],
  layout: { columns: 2 },
  note: null,
}
const refused = { code: 'ERR_HOLDFAST_PREFERENCE_VALUE' }
const key = 'holdfast:preferences:default:user:ann'

let server: RedisServer
let redis: RedisManager
let here: Preferences<Values>
let there: Preferences<Values>

beforeAll(async () => {
  server = await startRedis()
  ;({ redis } = await ready({ url: server.url, commandTimeout: '1s' }))
  here = createPreferences({ redis, defaults })
  there = createPreferences({ redis: (await ready({ url: server.url, commandTimeout: '1s' })).redis, defaults })
})
beforeEach(async () => {
  for (const preferences of [here, there]) await preferences.erase('ann')
})
afterAll(async () => {
  here.close()
  there.close()
  await closeAll()
  await server.stop()
})

describe('values', () => {
  it('are the defaults until they are set, and again after a reset', async () => {
    expect(await here.all('ann')).toEqual(defaults)
    await here.set('ann', 'theme', 'dark')
    await here.setMany('ann', { pageSize: 50, tags: [] })
    expect(await here.all('ann')).toEqual({ ...defaults, theme: 'dark', pageSize: 50, tags: [] })
    expect(await here.get('ann', 'pageSize')).toBe(50)
    expect(await here.all('bob')).toEqual(defaults)
    await here.reset('ann', 'theme')
    expect(await here.get('ann', 'theme')).toBe('light')
    await here.reset('ann')
    expect(await here.all('ann')).toEqual(defaults)
  })

  it('of all kinds come back as they were, false, 0, the empty text and null too', async () => {
    const values: Values = {
      theme: '',
      pageSize: 0,
      beta: false,
      tags: ['ü', '"'],
      layout: { columns: 1, hidden: [] },
      note: { deep: [null] },
    }
    await here.setMany('ann', values)
    expect(await there.all('ann')).toEqual(values)
    await here.set('ann', 'note', null)
    await eventually(async () => (await there.get('ann', 'note')) === null)
  })

  it('belong to the caller: changing them changes nothing else', async () => {
    const mine = await here.all('ann')
    mine.tags.push('x')
    mine.layout.columns = 9
    expect(await here.all('ann')).toEqual(defaults)
    expect(defaults.tags).toEqual(['news'])
  })

  it('are kept apart by name', async () => {
    const admin = createPreferences({ redis, defaults: { theme: 'grey' }, name: 'admin' })
    await here.set('ann', 'theme', 'dark')
    expect(await admin.get('ann', 'theme')).toBe('grey')
    admin.close()
  })

  it('are set all or none', async () => {
    await expect(here.setMany('ann', { theme: 'dark', pageSize: 'many' as never })).rejects.toMatchObject(refused)
    expect(await here.all('ann')).toEqual(defaults)
  })
})

describe('the tier in the process', () => {
  it('answers without Redis while it is fresh', async () => {
    // The message of the last erasure may still be on its way.
    await eventually(async () => {
      await here.all('ann')
      await server.client().config('RESETSTAT')
      for (let i = 0; i < 50; i++) await here.all('ann')
      return !(await server.client().info('commandstats')).includes('cmdstat_hmget')
    })
  })

  it('sees at once what this process writes, and soon what another one does', async () => {
    // A ttl that cannot be what makes the change seen.
    const local = { ttl: '1m' } as const
    const other = (await ready({ url: server.url, commandTimeout: '1s' })).redis
    const [here, there] = [redis, other].map((each) => createPreferences({ redis: each, defaults, local })) as [
      Preferences<typeof defaults>,
      Preferences<typeof defaults>,
    ]
    await here.all('ann')
    await there.all('ann')
    await eventually(
      async () => (await server.client().pubsub('NUMSUB', 'holdfast:preferences:default:changed'))[1] === 2,
    )
    await here.set('ann', 'theme', 'dark')
    expect(await here.get('ann', 'theme')).toBe('dark')
    await eventually(async () => (await there.get('ann', 'theme')) === 'dark', { within: 10_000 })
    await there.erase('ann')
    await eventually(async () => (await here.get('ann', 'theme')) === 'light', { within: 10_000 })
  })

  it('is off where that is asked for', async () => {
    const direct = createPreferences({ redis, defaults, local: false })
    await direct.all('ann')
    await server.client().hset(key, 'theme', '"dark"')
    expect(await direct.get('ann', 'theme')).toBe('dark')
  })

  it('is outdated for at most its ttl where a message is lost', async () => {
    const brief = createPreferences({ redis, defaults, local: { ttl: '100ms' } })
    await brief.all('ann')
    await server.client().hset(key, 'theme', '"dark"')
    await eventually(async () => (await brief.get('ann', 'theme')) === 'dark', { within: 10_000 })
    brief.close()
  })
})

describe('compare and set', () => {
  it('writes only where nobody has written since', async () => {
    const { values, version } = await here.read('ann')
    expect(values).toEqual(defaults)
    expect(await here.compareAndSet('ann', version, { pageSize: 30 })).toBe(true)
    expect(await there.compareAndSet('ann', version, { pageSize: 40 })).toBe(false)
    expect((await there.read('ann')).values.pageSize).toBe(30)
  })

  it('is not deceived by preferences that were erased and written anew', async () => {
    await here.set('ann', 'pageSize', 30)
    const { version } = await here.read('ann')
    await here.erase('ann')
    await here.set('ann', 'pageSize', 40)
    expect(await here.compareAndSet('ann', version, { pageSize: 50 })).toBe(false)
  })

  it('counts every one of several updates at the same time', async () => {
    await Promise.all(
      [here, there, here, there].map((preferences) =>
        preferences.update('ann', ({ pageSize }) => ({ pageSize: pageSize + 1 })),
      ),
    )
    expect((await here.read('ann')).values.pageSize).toBe(24)
  })

  it('gives up an update that others always overtake', async () => {
    const hopeless = here.update('ann', async () => {
      await there.set('ann', 'theme', 'dark')
      return { theme: 'blue' }
    })
    await expect(hopeless).rejects.toMatchObject({ code: 'ERR_HOLDFAST_PREFERENCE_CONFLICT' })
    expect((await here.read('ann')).values.theme).toBe('dark')
  })
})

describe('what is stored of a user', () => {
  it('is exported, also from earlier versions of the application, and erased', async () => {
    await here.setMany('ann', { theme: 'dark', layout: { columns: 3 } })
    await server.client().hset(key, 'gone', '[1]', 'broken', '{', '__proto__', '"x"')
    const copy = await here.export('ann')
    expect(Object.entries(copy).sort()).toEqual([
      ['__proto__', 'x'],
      ['broken', '{'],
      ['gone', [1]],
      ['layout', { columns: 3 }],
      ['theme', 'dark'],
    ])
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype)
    expect(await here.erase('ann')).toBe(true)
    expect(await here.erase('ann')).toBe(false)
    expect(await here.export('ann')).toEqual({})
    expect(await server.client().exists(key)).toBe(0)
  })
})

describe('bad input', () => {
  it.each<[string, unknown]>([
    ['theme', 5],
    ['pageSize', '20'],
    ['pageSize', Number.NaN],
    ['beta', null],
    ['tags', { length: 1 }],
    ['layout', []],
    ['__proto__', {}],
    ['constructor', {}],
    ['', 'x'],
    ['unknown', 1],
  ])('%s may not be %j', async (name, value) => {
    await expect(here.set('ann', name as 'theme', value as string)).rejects.toMatchObject(refused)
    expect(await server.client().exists(key)).toBe(0)
  })

  it('cannot reach the prototype of anything', async () => {
    const evil = JSON.parse('{"__proto__":{"admin":true}}')
    await expect(here.setMany('ann', evil)).rejects.toMatchObject(refused)
    await here.set('ann', 'note', JSON.parse('{"a":1,"__proto__":{"admin":true}}'))
    expect(Object.keys((await there.get('ann', 'note')) as object)).toEqual(['a'])
    expect(({} as { admin?: boolean }).admin).toBeUndefined()
    await expect(here.get('ann', '__proto__' as 'theme')).rejects.toMatchObject(refused)
    await expect(here.reset('ann', 'toString' as 'theme')).rejects.toMatchObject(refused)
  })

  it('of a size over the limit, with a cycle or without JSON is refused, and nothing is lost', async () => {
    await here.set('ann', 'theme', 'dark')
    const cycle: unknown[] = []
    cycle.push(cycle)
    for (const note of ['x'.repeat(5000), cycle, undefined, 1n, () => 1]) {
      await expect(here.set('ann', 'note', note)).rejects.toMatchObject({ code: 'ERR_HOLDFAST_PAYLOAD' })
    }
    expect(await there.all('ann')).toMatchObject({ theme: 'dark', note: null })
  })

  it.each(['a:b', '{x}', '*', 'a\r\nDEL y', '__proto__', 'x'.repeat(1000), 7])(
    '%j is a user as any other',
    async (user) => {
      await here.set(user, 'pageSize', 77)
      expect((await there.read(user)).values.pageSize).toBe(77)
      expect((await there.read('someone else')).values.pageSize).toBe(20)
      expect(await here.erase(user)).toBe(true)
    },
  )

  it.each<unknown>(['', undefined, null, {}, Number.NaN])('%j is no user', async (user) => {
    await expect(here.all(user as string)).rejects.toMatchObject(refused)
    await expect(here.set(user as string, 'theme', 'dark')).rejects.toMatchObject(refused)
  })

  it('in Redis, damaged or of another kind, reads as the default and is reported', async () => {
    const problems: string[] = []
    const off = redis.on('data.corrupt', ({ feature }) => problems.push(feature))
    await server.client().hset(key, 'theme', '{', 'pageSize', '"many"', 'beta', 'true')
    expect((await here.read('ann')).values).toEqual({ ...defaults, beta: true })
    expect(problems).toEqual(['preferences', 'preferences'])
    off()
  })

  it('under the key, that is no hash, reads as the defaults and is not overwritten', async () => {
    await server.client().set('holdfast:preferences:default:user:cid', 'mine')
    expect(await here.all('cid')).toEqual(defaults)
    await expect(here.set('cid', 'theme', 'dark')).rejects.toMatchObject({ kind: 'WRONGTYPE' })
    expect(await server.client().get('holdfast:preferences:default:user:cid')).toBe('mine')
  })

  it('values pass the check of their key instead of the kind of the default', async () => {
    const checked = createPreferences<{ theme: string | null }>({
      redis,
      defaults: { theme: 'light' },
      name: 'checked',
      validate: { theme: (value) => value === null || value === 'dark' },
    })
    await checked.set('ann', 'theme', null)
    expect(await checked.get('ann', 'theme')).toBeNull()
    await expect(checked.set('ann', 'theme', 'pink')).rejects.toMatchObject({ ...refused, field: 'theme' })
    checked.close()
  })

  it.each<object>([
    { defaults: {} },
    { defaults: { a: undefined } },
    { defaults: JSON.parse('{"__proto__":1}') },
    { defaults: { a: 1 }, validate: { b: () => true } },
    { defaults: { a: 1 }, local: { ttl: '2h' } },
    { defaults: { a: 1 }, local: { size: 1 } },
    { defaults: { a: 'x'.repeat(5000) } },
    { defaults: { a: 1 }, colour: 1 },
    {},
  ])('createPreferences(%j) is a ConfigurationError', (options) => {
    expect(() => createPreferences({ redis, ...options } as never)).toThrow(
      expect.objectContaining({ code: 'ERR_HOLDFAST_CONFIG' }),
    )
  })
})
