import { describe, expect, it } from '@jest/globals'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { createSessions } from '../../src/session/index.js'
import { startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'
import { useRedis } from './app.js'

const world = useRedis()
const sessions = (options = {}) => createSessions({ redis: world.redis, ...options })
/** Under a prefix of its own: what the others have seen is written within a second. */
async function alone(): Promise<RedisManager> {
  const { url } = world.server
  const redis = createRedisManager({ url, keyPrefix: `alone-${someone()}`, logger: false, commandTimeout: 2000 })
  await redis.ready('10s')
  return redis
}
const FIREFOX = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0'
let users = 0
const someone = () => `user-${++users}`

describe('the registry', () => {
  it('lists the sessions of a user with device, address and times, newest first, and no ids', async () => {
    const user = someone()
    const registry = sessions()
    const first = await registry.create(user, undefined, undefined, FIREFOX, '192.0.2.1')
    await new Promise((resolve) => setTimeout(resolve, 5))
    const second = await registry.create({ user })
    const list = await registry.list(user, { current: second.id })
    expect(list).toEqual([
      expect.objectContaining({ handle: second.handle, device: 'Unknown device', current: true }),
      expect.objectContaining({
        handle: first.handle,
        device: 'Firefox on Windows',
        address: '192.0.2.1',
        current: false,
        createdAt: expect.any(Date),
        lastSeen: expect.any(Date),
        expiresAt: expect.any(Date),
      }),
    ])
    expect(JSON.stringify(list)).not.toContain(first.id)
  })

  it('ends one session by its handle, which opens nothing itself', async () => {
    const user = someone()
    const registry = sessions()
    const [kept, lost] = [await registry.create({ user }), await registry.create({ user })]
    expect(await registry.revoke(user, lost.handle)).toBe(true)
    expect(await registry.revoke(user, lost.handle)).toBe(false)
    expect(await registry.validate(lost.id)).toEqual({ valid: false, reason: 'missing', degraded: false })
    expect(await registry.validate(kept.id)).toEqual({ valid: true, userId: user, degraded: false })
  })

  it("does not end another user's session", async () => {
    const [ann, eve] = [someone(), someone()]
    const registry = sessions()
    const { handle, id } = await registry.create({ user: ann })
    expect(await registry.revoke(eve, handle)).toBe(false)
    expect(await registry.revoke(eve, id)).toBe(false)
    expect(await registry.revokeOthers(eve, id)).toBe(0)
    expect((await registry.validate(id)).valid).toBe(true)
  })

  it('ends all others but the one in use', async () => {
    const user = someone()
    const registry = sessions()
    const all = await Promise.all([1, 2, 3].map(() => registry.create({ user })))
    expect(await registry.revokeOthers(user, (all[1] as { id: string }).id)).toBe(2)
    const valid = await Promise.all(all.map(({ id }) => registry.validate(id)))
    expect(valid.map((each) => each.valid)).toEqual([false, true, false])
    expect(await registry.list(user)).toHaveLength(1)
  })

  it('ends all at once, also one that is written at that very moment', async () => {
    const user = someone()
    const registry = sessions()
    const { id, handle } = await registry.create({ user })
    const [tag, hash] = handle.slice(1).split(':') as [string, string]
    const key = world.redis.keys.key('session', world.redis.keys.slot(tag), hash)
    expect(await registry.revokeAll(user)).toBe(1)
    const client = world.server.client()
    await eventually(async () => (await client.exists(key)) === 0, { within: 10_000 })
    // As a script does that read the generation before.
    await client.hset(key, { v: 1, g: 0, x: Date.now() + 60_000, d: '{}', m: '{}', i: 60_000, l: 0, b: 1 })
    expect(await registry.validate(id)).toEqual({ valid: false, reason: 'revoked', degraded: false })
    expect(await registry.set(id, { a: 1 })).toBe(false)
    expect(await registry.extend(id, '1h')).toBeUndefined()
    expect((await registry.validate((await registry.create({ user })).id)).valid).toBe(true)
  })

  it('forgets listed sessions that expired', async () => {
    const user = someone()
    const registry = sessions({ ttl: 150, touchAfter: 0 })
    await registry.create({ user })
    await registry.create({ user })
    await eventually(async () => (await registry.list(user)).length === 0, { within: 10_000 })
    await registry.create({ user })
    expect(await registry.list(user)).toHaveLength(1)
  })

  it.each([
    ['oldest', [1, 2, 3]],
    ['idle', [0, 2, 3]],
  ] as const)('with maxPerUser ends the %s one', async (onExcess, left) => {
    const user = someone()
    const registry = sessions({ maxPerUser: 3, onExcess, touchAfter: 0 })
    const created: { id: string }[] = []
    for (let i = 0; i < 4; i++) {
      // The first is in use, the second is not.
      if (i === 3) await registry.validate((created[0] as { id: string }).id)
      created.push(await registry.create({ user }))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const valid = await Promise.all(created.map(({ id }) => registry.validate(id)))
    expect(valid.flatMap(({ valid }, i) => (valid ? [i] : []))).toEqual(left)
  })

  it('with maxPerUser and reject refuses one more', async () => {
    const user = someone()
    const registry = sessions({ maxPerUser: 2, onExcess: 'reject' })
    await registry.create({ user })
    await registry.create({ user })
    await expect(registry.create({ user })).rejects.toMatchObject({ code: 'ERR_HOLDFAST_SESSION_LIMIT', status: 409 })
  })

  it('never exceeds maxPerUser, however many log in at the same time', async () => {
    const user = someone()
    const registry = sessions({ maxPerUser: 5 })
    const created = await Promise.all(Array.from({ length: 40 }, () => registry.create({ user })))
    const valid = await Promise.all(created.map(({ id }) => registry.validate(id)))
    expect(valid.filter(({ valid }) => valid)).toHaveLength(5)
    expect(await registry.list(user)).toHaveLength(5)
  })

  it('finds the user of ids of any bytes', async () => {
    const registry = sessions()
    for (const user of ['__proto__', 'a:b{c}*?', '\u0000\r\n', 'ü', '\ud800', 'x'.repeat(5000)]) {
      const { id } = await registry.create({ user })
      expect(await registry.list(user)).toHaveLength(1)
      expect(await registry.revokeAll(user)).toBe(1)
      expect((await registry.validate(id)).valid).toBe(false)
    }
    await expect(registry.create({ user: '' })).rejects.toThrow(TypeError)
  })

  it('gives, sets and removes data, keeping what others set meanwhile', async () => {
    const registry = sessions()
    const { id } = await registry.create({ user: someone(), data: { a: 1, z: 0 } })
    await Promise.all([registry.set(id, { b: 2 }), registry.set(id, { c: 3 }), registry.set(id, { z: undefined })])
    expect(await registry.get(id)).toEqual({ a: 1, b: 2, c: 3 })
    expect(await registry.destroy(id)).toBe(true)
    expect(await registry.get(id)).toBeUndefined()
    expect(await registry.set(id, { d: 4 })).toBe(false)
  })

  it('extends a session, but never past its absolute end', async () => {
    const registry = sessions({ ttl: '1m', absoluteTtl: '10m' })
    const { id } = await registry.create({ user: someone() })
    const soon = (await registry.extend(id, '5m')) as Date
    expect(soon.getTime() - Date.now()).toBeGreaterThan(4 * 60_000)
    const late = (await registry.extend(id, '5h')) as Date
    expect(late.getTime() - Date.now()).toBeLessThanOrEqual(10 * 60_000 + 1000)
  })

  it('gives a field to exactly one of a hundred who take it, and counts exactly', async () => {
    const registry = sessions()
    const { id } = await registry.create({ user: someone() })
    expect(await registry.setOnce(id, 'state', { nonce: 'n' })).toBe(true)
    expect(await registry.setOnce(id, 'state', 'another')).toBe(false)
    const taken = await Promise.all(Array.from({ length: 100 }, () => registry.take(id, 'state')))
    expect(taken.filter((value) => value !== undefined)).toEqual([{ nonce: 'n' }])
    await Promise.all(Array.from({ length: 100 }, () => registry.increment(id, 'hits')))
    expect(await registry.increment(id, 'hits', 0)).toBe(100)
    await registry.destroy(id)
    await expect(registry.increment(id, 'hits')).rejects.toMatchObject({ code: 'ERR_HOLDFAST_SESSION_ENDED' })
    expect(await registry.setOnce(id, 'state', 1)).toBe(false)
  })

  it('knows a session by its access token, of which it keeps a hash', async () => {
    const user = someone()
    const registry = sessions()
    await registry.create(user, 'access-token-of-ann', 'refresh-token-of-ann', FIREFOX, '192.0.2.7')
    expect(await registry.validate('access-token-of-ann')).toEqual({ valid: true, userId: user, degraded: false })
    expect(await registry.validate('another')).toMatchObject({ valid: false, reason: 'missing' })
    const dump = JSON.stringify(await world.server.client().keys('*'))
    expect(dump).not.toContain('access-token-of-ann')
    await registry.revokeAll(user)
    expect(await registry.validate('access-token-of-ann')).toMatchObject({ valid: false })
  })

  it('counts what happens, by the hour', async () => {
    const redis = await alone()
    const registry = createSessions({ redis })
    const [ann, bob] = [someone(), someone()]
    const mine = await registry.create({ user: ann })
    await registry.create({ user: ann })
    await registry.create({ user: bob })
    await registry.destroy(mine.id)
    await registry.revokeAll(bob)
    const { active, hours } = await registry.stats({ hours: 2 })
    expect(active).toBe(1)
    expect(hours).toHaveLength(2)
    const sum = hours.reduce((all, hour) => all + hour.created, 0)
    expect(sum).toBe(3)
    expect(hours.at(-1)?.ended).toEqual({ logout: 1, revoked: 1 })
    expect(hours.at(-1)?.users).toBe(2)
    await redis.close()
  })

  it('counts sessions that expired', async () => {
    const redis = await alone()
    const registry = createSessions({ redis, ttl: 120 })
    await registry.create({ user: someone() })
    await registry.stats()
    await eventually(async () => (await registry.stats({ hours: 1 })).hours[0]?.ended.expired === 1, { within: 10_000 })
    expect(await registry.stats()).toMatchObject({ active: 0 })
    await redis.close()
  })
})

describe('refresh tokens', () => {
  const registry = () => sessions()

  it('are exchanged, and both tabs that show the same one get the same successor', async () => {
    const { id } = await registry().create(someone(), undefined, 'first')
    const answers = await Promise.all(Array.from({ length: 20 }, () => registry().refresh(id, 'first')))
    const tokens = new Set(answers.map((answer) => (answer.status === 'rotated' ? answer.refreshToken : answer.status)))
    expect(tokens.size).toBe(1)
    const [next] = [...tokens] as [string]
    expect((await registry().refresh(id, next)).status).toBe('rotated')
  })

  it('shown again after their time end the session, with an event that names the user', async () => {
    const user = someone()
    const { id } = await registry().create(user, undefined, 'first')
    const events: unknown[] = []
    const off = world.redis.on('session.destroyed', (event) => void events.push(event))
    const one = await registry().refresh(id, 'first')
    if (one.status !== 'rotated') throw new Error(one.status)
    await registry().refresh(id, one.refreshToken)
    expect(await registry().refresh(id, 'first')).toEqual({ status: 'reuse' })
    off()
    expect(events).toEqual([{ session: expect.stringMatching(/^[\w-]{16}$/), userId: user, reason: 'reuse' }])
    expect((await registry().validate(id)).valid).toBe(false)
    expect(await registry().list(user)).toEqual([])
  })

  it('that nobody issued end nothing', async () => {
    const { id } = await registry().create(someone(), undefined, 'first')
    expect(await registry().refresh(id, 'guess')).toEqual({ status: 'unknown' })
    expect((await registry().validate(id)).valid).toBe(true)
    expect(await registry().refresh('no such session', 'first')).toEqual({ status: 'ended' })
  })
})

describe('on a Cluster', () => {
  it('sessions are created, listed, limited and revoked', async () => {
    const cluster = await startCluster()
    const redis = createRedisManager({ cluster: { nodes: cluster.nodes }, logger: false, commandTimeout: 2000 })
    try {
      await redis.ready(10_000)
      const registry = createSessions({ redis, maxPerUser: 3 })
      for (let i = 0; i < 12; i++) {
        const user = `user-${i}`
        const created = await Promise.all([1, 2, 3, 4].map(() => registry.create({ user })))
        expect(await registry.list(user)).toHaveLength(3)
        const live = (await registry.list(user))[0] as { handle: string }
        expect(await registry.revoke(user, live.handle)).toBe(true)
        expect(await registry.revokeAll(user)).toBe(2)
        for (const { id } of created) expect((await registry.validate(id)).valid).toBe(false)
      }
      expect((await registry.stats({ hours: 1 })).active).toBe(0)
      registry.close()
    } finally {
      await redis.close()
      await cluster.stop()
    }
  }, 60_000)
})
