import { randomBytes } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import request from 'supertest'
import { createSessions } from '../../src/session/index.js'
import { eventually } from '../support/eventually.js'
import { createApp, idOf, login, useRedis } from './app.js'

const world = useRedis()
const key = (id: string) => ({ id, key: randomBytes(32).toString('base64') })
const keyOf = async (cookie: string) =>
  (await world.server.client().keys(`*{${idOf(cookie).slice(0, 16)}}*`)).find(
    (name) => !/index|generation/.test(name),
  ) as string

describe('encryption', () => {
  const [first, second] = [key('first'), key('second')]
  const app = (...keys: (typeof first)[]) => createApp({ redis: world.redis, encryption: { keys } })

  it('leaves nothing of the session readable in Redis', async () => {
    const cookie = await login(app(first), 'ann-in-clear')
    const record = await world.server.client().hgetall(await keyOf(cookie))
    expect(JSON.stringify(record)).not.toContain('ann-in-clear')
    expect(JSON.stringify(record)).not.toContain('cookie')
    await request(app(first)).get('/').set('Cookie', cookie).expect({ user: 'ann-in-clear', state: 'ready' })
  })

  it('opens with any key of the ring and seals anew with the first', async () => {
    const cookie = await login(app(first))
    await request(app(second, first)).get('/').set('Cookie', cookie).expect({ user: 'ann', state: 'ready' })
    await eventually(async () => {
      const response = await request(app(second)).get('/').set('Cookie', cookie)
      return response.body.user === 'ann'
    })
  })

  it('under a key that is not known here makes the session unavailable, not absent', async () => {
    const cookie = await login(app(first))
    const response = await request(app(second)).post('/set/k1/v').set('Cookie', cookie)
    expect(response.body).toEqual({ kept: false })
    expect(response.headers['set-cookie']).toBeUndefined()
    await request(app(first)).get('/').set('Cookie', cookie).expect({ user: 'ann', state: 'ready' })
  })

  it('is bound to its session: a blob copied into another one does not open', async () => {
    const [ann, bob] = [await login(app(first), 'ann'), await login(app(first), 'bob')]
    const client = world.server.client()
    const stolen = (await client.hgetBuffer(await keyOf(ann), 'd')) as Buffer
    await client.hset(await keyOf(bob), 'd', stolen)
    await request(app(first)).get('/').set('Cookie', bob).expect({ user: null, state: 'ready' })
  })

  it('is bound to its version: an older blob of the same session does not open', async () => {
    const one = app(first)
    const cookie = await login(one)
    const client = world.server.client()
    const old = (await client.hgetBuffer(await keyOf(cookie), 'd')) as Buffer
    await request(one).post('/set/k1/v').set('Cookie', cookie).expect({ kept: true })
    await client.hset(await keyOf(cookie), 'd', old)
    await request(one).get('/').set('Cookie', cookie).expect({ user: null, state: 'ready' })
  })

  it('refuses every blob with a changed bit', async () => {
    const one = app(first)
    const cookie = await login(one)
    const client = world.server.client()
    const name = await keyOf(cookie)
    const sealed = (await client.hgetBuffer(name, 'd')) as Buffer
    for (let at = 9; at < sealed.length; at += 13) {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] as number) ^ 1
      await client.hset(name, 'd', changed)
      expect((await request(one).get('/').set('Cookie', cookie)).body.user).toBeNull()
    }
    await client.hset(name, 'd', sealed)
    await request(one).get('/').set('Cookie', cookie).expect({ user: 'ann', state: 'ready' })
  })

  it('does not take plain data for its own, unless told to for a migration', async () => {
    const cookie = await login(createApp({ redis: world.redis }))
    await request(app(first)).get('/').set('Cookie', cookie).expect({ user: null, state: 'ready' })
    const migrating = createApp({ redis: world.redis, encryption: { keys: [first], readPlaintext: true } })
    await request(migrating).get('/').set('Cookie', cookie).expect({ user: 'ann', state: 'ready' })
    await eventually(async () => (await request(app(first)).get('/').set('Cookie', cookie)).body.user === 'ann', {
      within: 10_000,
    })
  })

  it('of every session is renewed by rekey(), fields included', async () => {
    await world.server.client().flushall()
    const before = createSessions({ redis: world.redis, encryption: { keys: [first] } })
    const after = createSessions({ redis: world.redis, encryption: { keys: [second, first] } })
    const only = createSessions({ redis: world.redis, encryption: { keys: [second] } })
    const ids = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const { id } = await before.create({ user: `u${i}`, data: { i } })
        await before.setOnce(id, 'state', i)
        return id
      }),
    )
    expect(await after.rekey()).toBe(20)
    expect(await after.rekey()).toBe(0)
    for (const [i, id] of ids.entries()) {
      expect(await only.get(id)).toEqual({ i })
      expect(await only.take(id, 'state')).toBe(i)
    }
  })

  it.each([
    ['no keys', { keys: [] }],
    ['a short key', { keys: [{ id: 'a', key: 'c2hvcnQ=' }] }],
    ['a name with a space', { keys: [{ ...first, id: 'a b' }] }],
  ])('refuses %s, and shows no key', (_, encryption) => {
    expect(() => createSessions({ redis: world.redis, encryption })).toThrow(/"encryption" must be .*\[secret\]/)
  })

  it('refuses two keys of one name', () => {
    expect(() =>
      createSessions({ redis: world.redis, encryption: { keys: [first, { ...second, id: 'first' }] } }),
    ).toThrow(/"keys" must have an id each/)
  })
})
