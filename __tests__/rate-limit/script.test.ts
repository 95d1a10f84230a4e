import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { decisionLua } from '../../src/rate-limit/decision-lua.js'
import { Log } from '../../src/rate-limit/log.js'
import { type Policy, type RateLimitAlgorithm, toPolicy } from '../../src/rate-limit/policy.js'
import { inFull } from '../../src/rate-limit/reply.js'
import type { Inlined } from '../../src/rate-limit/shortcut-lua.js'
import { defineScript, type Script } from '../../src/redis/index.js'
import { useRedis } from './support.js'
import { mostInAnyWindow } from './windows.js'

const world = useRedis()

/** The time as an argument: seconds and µs at the end of ARGV. */
const CLOCK = '{ tonumber(table.remove(ARGV, #ARGV - 1)), tonumber(table.remove(ARGV)) }'
/** What ends by the time it is told must not end earlier by Redis' own, however long a test takes. */
const PATIENCE = 60_000
const scriptAt = (inlined?: Inlined): Script<number[]> => {
  const patient = `
local real = redis
local redis = { pcall = real.pcall }
function redis.call(command, ...)
  local given = { ... }
  if command == 'SET' then given[4] = string.format('%.0f', given[4] + ${PATIENCE}) end
  return real.call(command, unpack(given))
end`
  return defineScript({ name: 'decide-at', lua: patient + decisionLua(CLOCK, inlined) })
}
const decideAt = scriptAt()

const EPOCH = 1_800_000_000_000
const MINUTE = 60_000

interface Asked {
  readonly key: string
  readonly at: number
  readonly policies: readonly Policy[]
  readonly cost?: number
  readonly op?: 'take' | 'peek' | 'charge' | 'refund' | 'block'
  readonly argument?: number
  readonly block?: readonly [length: number, growth: number, longest: number, remember: number]
}

interface Reply {
  readonly status: 'refused' | 'allowed' | 'blocked'
  readonly blockMs: number
  readonly foreign: boolean
  readonly policies: readonly { used: number; wait: number; free: number }[]
}

/** Beside a policy that does not slide, the script takes its long way instead of the shortcut. */
const COMPANION = toPolicy({ name: 'companion', limit: 1_000_000_000, window: MINUTE }, 'fixed')

async function askBeside(asked: Asked): Promise<Reply> {
  const reply = await ask({ ...asked, policies: [...asked.policies, COMPANION] })
  return { ...reply, policies: reply.policies.slice(0, -1) }
}

const inlined = new Map<string, Script<number[]>>()

/** By a script that has the policies written into it. */
async function askInlined(asked: Asked): Promise<Reply> {
  const { key, policies, cost = 1, block = [0, 1, 0, 0], at, op = 'take' } = asked
  if (op !== 'take') return ask(asked)
  const args = ['take', 0, ...block, ...argumentsOf(policies, cost)].map(String)
  const id = args.join()
  const script = inlined.get(id) ?? scriptAt({ args, policies, cost })
  inlined.set(id, script)
  return replyOf(await world.redis.execute('ask', (client) => script.run(client, [key], timeOf(at))), policies)
}

const WAYS = [
  ['by the shortcut', ask],
  ['by the shortcut, inlined', askInlined],
  ['by the long way', askBeside],
] as const

function argumentsOf(policies: readonly Policy[], cost: number): (string | number)[] {
  return policies.flatMap((it) => [it.name, it.kind, it.limit, it.windowMs, it.quantumMs, it.cost ?? cost])
}

function timeOf(at: number): number[] {
  const now = EPOCH + at
  return [Math.floor(now / 1000), (now % 1000) * 1000]
}

async function ask({
  key,
  at,
  policies,
  cost = 1,
  op = 'take',
  argument = 0,
  block = [0, 1, 0, 0],
}: Asked): Promise<Reply> {
  const args = [op, argument, ...block, ...argumentsOf(policies, cost), ...timeOf(at)]
  return replyOf(await world.redis.execute('ask', (client) => decideAt.run(client, [key], args)), policies)
}

function replyOf(given: readonly number[], policies: readonly Policy[]): Reply {
  const reply = inFull(given, policies.length)
  return {
    status: (['refused', 'allowed', 'blocked'] as const)[reply[0] as number] as Reply['status'],
    blockMs: reply[2] as number,
    foreign: reply[3] === 1,
    policies: policies.map((_, index) => ({
      used: reply[4 + index * 3] as number,
      wait: reply[5 + index * 3] as number,
      free: reply[6 + index * 3] as number,
    })),
  }
}

function policy(limit: number, window = MINUTE, algorithm: RateLimitAlgorithm = 'sliding', name = 'p'): Policy {
  return toPolicy({ name, limit, window }, algorithm)
}

let last = 0
const aKey = (): string => `script:${++last}`

/** What a sliding window means, in its plainest form: every admitted point with its moment. */
class Reference {
  readonly admitted: { at: number; points: number }[] = []

  used(at: number, windowMs: number): number {
    return this.admitted.filter((it) => it.at + windowMs > at - 1).reduce((sum, it) => sum + it.points, 0)
  }

  take(at: number, cost: number, { limit, windowMs }: Policy): boolean {
    const fits = this.used(at, windowMs) + cost <= limit
    if (fits && cost > 0) this.admitted.push({ at, points: cost })
    return fits || cost === 0
  }

  refund(at: number, points: number): void {
    for (const it of this.admitted) {
      const back = it.at === at ? Math.min(points, it.points) : 0
      it.points -= back
      points -= back
    }
  }
}

const steps = fc.array(
  fc.record({
    dt: fc.constantFrom(0, 1, 5, 700, 9_999, 20_000, 59_999, 60_000, 60_001),
    cost: fc.integer({ min: 0, max: 4 }),
  }),
  { minLength: 1, maxLength: 40 },
)

describe('the decision script', () => {
  it.each(WAYS)('decides like the plain list of admitted requests, up to a limit of 100: %s', async (_way, ask) => {
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 1, max: 12 }), fc.array(fc.nat(39)), async (calls, limit, refunds) => {
        const key = aKey()
        const it = policy(limit)
        const reference = new Reference()
        let at = 0
        for (const [index, { dt, cost }] of calls.entries()) {
          at += dt
          const { status, policies } = await ask({ key, at, policies: [it], cost })
          const expected = reference.take(at, cost, it)
          expect(status).toBe(expected ? 'allowed' : 'refused')
          expect(policies[0]?.used).toBe(reference.used(at, it.windowMs))
          if (expected && cost > 0 && refunds.includes(index)) {
            await ask({ key, at, policies: [it], cost, op: 'refund', argument: EPOCH + at })
            reference.refund(at, cost)
          }
        }
      }),
      { numRuns: 60 },
    )
  })

  it.each(WAYS)(
    'is above a limit of 100 never more generous, and a hundredth of the window late: %s',
    async (_way, ask) => {
      await fc.assert(
        fc.asyncProperty(steps, async (calls) => {
          const key = aKey()
          const it = policy(1000)
          const admitted: { at: number; points: number }[] = []
          let at = 0
          for (const { dt, cost } of calls) {
            at += dt
            const points = 1 + cost * 100
            const lately = (back: number): number =>
              admitted.filter((each) => each.at + back > at).reduce((sum, each) => sum + each.points, 0)
            const { status } = await ask({ key, at, policies: [it], cost: points })
            if (status === 'allowed') admitted.push({ at, points })
            else expect(lately(it.windowMs + it.quantumMs) + points).toBeGreaterThan(it.limit)
          }
          expect(mostInAnyWindow(admitted, it.windowMs)).toBeLessThanOrEqual(it.limit)
        }),
        { numRuns: 40 },
      )
    },
  )

  const adversaries: Record<string, (window: number, limit: number) => [at: number, calls: number][]> = {
    'a burst on each side of an edge': (window, limit) => [
      [window - 1, limit],
      [window + 1, limit],
      [2 * window - 2, limit],
      [2 * window, limit],
    ],
    'the last moment of a window, then a trickle': (window, limit) => [
      [window - 1, limit],
      ...Array.from({ length: 200 }, (_, i): [number, number] => [window + (i * window) / 100, 2]),
    ],
    'a sawtooth': (window, limit) =>
      Array.from({ length: 60 }, (_, i) => [(i * window) / 12, Math.ceil(((i % 7) * limit) / 6)]),
  }

  describe.each(Object.keys(adversaries))('gives an adversary no more than the limit in any window: %s', (pattern) => {
    it.each(WAYS)('%s', async (_way, ask) => {
      for (const limit of [1, 7, 101]) {
        const [key, it] = [aKey(), policy(limit)]
        const admitted: { at: number; points: number }[] = []
        for (const [moment, calls] of adversaries[pattern]?.(MINUTE, limit) ?? []) {
          const at = Math.floor(moment)
          for (let i = 0; i < calls; i++) {
            if ((await ask({ key, at, policies: [it] })).status !== 'allowed') break
            admitted.push({ at, points: 1 })
          }
        }
        expect([limit, mostInAnyWindow(admitted, MINUTE)]).toEqual([limit, limit])
      }
    })
  })

  it.each(['sliding', 'fixed', 'gcra'] as const)('%s: says exactly when the cost fits', async (algorithm) => {
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(3, 10, 150), async (calls, limit) => {
        const key = aKey()
        const it = policy(limit, MINUTE, algorithm)
        let at = 0
        for (const { dt, cost } of calls) {
          at += dt
          const points = 1 + cost
          if (points > limit) continue
          const { status, policies } = await ask({ key, at, policies: [it], cost: points })
          if (status === 'allowed') continue
          const wait = policies[0]?.wait as number
          expect(wait).toBeGreaterThan(0)
          const before = await ask({ key, at: at + wait - 1, policies: [it], cost: points, op: 'peek' })
          const after = await ask({ key, at: at + wait, policies: [it], cost: points, op: 'peek' })
          expect([before.status, after.status]).toEqual(['refused', 'allowed'])
        }
      }),
      { numRuns: 25 },
    )
  })

  it.each(['sliding', 'fixed', 'gcra'] as const)('%s: the limiter in memory decides the same', async (algorithm) => {
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(3, 10, 150), fc.array(fc.nat(39)), async (calls, limit, refunds) => {
        const key = aKey()
        const it = policy(limit, MINUTE, algorithm)
        const log = new Log()
        let at = 0
        for (const [index, { dt, cost }] of calls.entries()) {
          at += dt
          const look = log.look(it, cost, EPOCH + at)
          const { status, policies } = await ask({ key, at, policies: [it], cost })
          expect(status).toBe(look.wait === 0 ? 'allowed' : 'refused')
          if (look.wait === 0) log.charge(it, cost, EPOCH + at)
          expect(policies[0]?.wait).toBe(look.wait)
          const after = log.look(it, 0, EPOCH + at)
          expect(policies[0]?.used).toBe(after.used)
          expect(policies[0]?.free).toBe(after.free)
          if (look.wait === 0 && cost > 0 && refunds.includes(index)) {
            await ask({ key, at, policies: [it], cost, op: 'refund', argument: EPOCH + at })
            log.refund(it, cost, EPOCH + at)
          }
        }
      }),
      { numRuns: 25 },
    )
  })

  it('answers alike, and leaves the same record, whichever way it takes', async () => {
    const limits = fc.array(fc.constantFrom(3, 10, 100, 101, 150), { minLength: 1, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(steps, limits, async (calls, limits) => {
        const [short, written, general] = [aKey(), aKey(), aKey()]
        const policies = limits.map((limit, index) =>
          policy(limit, [MINUTE, 10_000, 700][index], 'sliding', `p${index}`),
        )
        const stored = (key: string) => world.client().getBuffer(key)
        let at = 0
        for (const { dt, cost } of calls) {
          at += dt
          const one = await ask({ key: short, at, policies, cost })
          expect(await askInlined({ key: written, at, policies, cost })).toEqual(one)
          const other = await ask({ key: general, at, policies, cost, op: 'peek' })
          expect(other.policies.map(({ wait }) => wait)).toEqual(one.policies.map(({ wait }) => wait))
          if (one.status === 'allowed') {
            const charged = await ask({ key: general, at, policies, cost, op: 'charge' })
            expect(charged.policies).toEqual(one.policies)
          } else expect(other).toEqual(one)
          expect(await stored(short)).toEqual(await stored(written))
          const kept = await ask({ key: short, at, policies, cost, op: 'peek' })
          expect(await ask({ key: general, at, policies, cost, op: 'peek' })).toEqual(kept)
        }
      }),
      { numRuns: 20 },
    )
  })

  it('takes the shortcut for what is allowed, and for nothing that it does not know how to write', async () => {
    const raw = async (key: string, at: number, policies: readonly Policy[], cost = 1): Promise<number> => {
      const args = ['take', 0, 0, 1, 0, 0, ...argumentsOf(policies, cost), ...timeOf(at)]
      return (await world.redis.execute('ask', (client) => decideAt.run(client, [key], args))).length
    }
    const key = aKey()
    const [burst, sustained] = [policy(5, 1000, 'sliding', 'burst'), policy(9, MINUTE, 'sliding', 'sustained')]
    const both = [burst, sustained]
    expect(await raw(key, 0, both)).toBe(5)
    expect(await raw(key, 10, both)).toBe(5)
    // The first section is empty and stays away; the second goes on.
    expect(await raw(key, 5000, both)).toBe(5)
    expect(await raw(key, 5001, both, 0)).toBe(10)
    expect(await raw(key, 5001, [sustained])).toBe(7)
    // In the order of the last long way; this one puts it right.
    expect(await raw(key, 5002, both)).toBe(10)
    expect(await raw(key, 5002, both)).toBe(5)
    expect(await raw(key, 4000, both)).toBe(10)
    expect(await raw(key, 5003, both, 9)).toBe(10)
    expect(await raw(aKey(), 0, [policy(5, 1000, 'fixed')])).toBe(7)
    expect(await raw(aKey(), 0, [policy(5, 1000, 'gcra')])).toBe(7)
    await ask({ key, at: 5003, policies: [], op: 'block', argument: 100 })
    expect(await raw(key, 5004, both)).toBe(10)
  })

  it('leaves what is cut off, lengthened or foreign to the long way', async () => {
    const policies = [policy(5, MINUTE, 'sliding', 'one'), policy(500, MINUTE, 'sliding', 'two')]
    const key = aKey()
    for (let at = 0; at < 3; at++) await ask({ key, at: at * 1000, policies })
    const whole = (await world.client().getBuffer(key)) as Buffer
    for (let length = 0; length <= whole.length + 8; length++) {
      const bytes = Buffer.concat([whole.subarray(0, length), Buffer.alloc(Math.max(0, length - whole.length))])
      const replies: Reply[] = []
      for (const ask of [askInlined, askBeside]) {
        await world.client().set(key, bytes)
        replies.push(await ask({ key, at: 3000, policies }))
      }
      expect([length, replies[0]]).toEqual([length, replies[1]])
    }
  })

  it('charges all policies or none', async () => {
    const key = aKey()
    const policies = [policy(2, 1000, 'sliding', 'burst'), policy(3, MINUTE, 'sliding', 'sustained')]
    expect((await ask({ key, at: 0, policies })).status).toBe('allowed')
    expect((await ask({ key, at: 0, policies })).status).toBe('allowed')
    const third = await ask({ key, at: 0, policies })
    expect(third.status).toBe('refused')
    expect(third.policies.map(({ used }) => used)).toEqual([2, 2])
    expect((await ask({ key, at: 1001, policies })).status).toBe('allowed')
    const fifth = await ask({ key, at: 1002, policies })
    expect(fifth.policies.map(({ used, wait }) => [used, wait > 0])).toEqual([
      [1, false],
      [3, true],
    ])
  })

  it('reaches a limit of 5000 in 200 ms where it is asked often enough', async () => {
    const [key, it] = [aKey(), policy(5000, 200)]
    const admitted: { at: number; points: number }[] = []
    for (let at = 0; at < 1000; at += 2) {
      const { status } = await ask({ key, at, policies: [it], cost: 100 })
      if (status === 'allowed') admitted.push({ at, points: 100 })
    }
    expect(mostInAnyWindow(admitted, 200)).toBe(5000)
    const points = admitted.reduce((sum, it) => sum + it.points, 0)
    expect(points).toBeGreaterThanOrEqual(0.98 * 5 * 5000)
  })

  it('writes nothing for a refused call', async () => {
    const key = aKey()
    await ask({ key, at: 0, policies: [policy(1)] })
    const before = await world.client().getBuffer(key)
    for (let at = 1; at < 20; at++) await ask({ key, at, policies: [policy(1)] })
    expect(await world.client().getBuffer(key)).toEqual(before)
  })

  it('gives every record a time to live, that of its last point', async () => {
    for (const algorithm of ['sliding', 'fixed', 'gcra'] as const) {
      const key = aKey()
      for (const op of ['take', 'charge', 'refund', 'block'] as const) {
        await ask({
          key,
          at: 0,
          policies: [policy(5, 30_000, algorithm)],
          op,
          argument: op === 'block' ? 30_000 : EPOCH,
        })
        const ttl = (await world.client().pttl(key)) - PATIENCE
        expect(ttl === -2 || (ttl > 0 && ttl <= 30_001)).toBe(true)
      }
    }
  })

  it('keeps a record below 1.2 KB at any limit', async () => {
    for (const limit of [100, 101, 5000, 1_000_000_000]) {
      const key = aKey()
      const it = policy(limit)
      for (let at = 0; at < 2 * MINUTE; at += it.quantumMs === 1 ? 600 : it.quantumMs) {
        await ask({ key, at, policies: [it] })
      }
      expect(await world.client().memory('USAGE', key)).toBeLessThan(1200)
    }
  })

  it('counts a clock that was set back as now: nobody gains, and nobody waits longer than a window', async () => {
    const key = aKey()
    const it = policy(3)
    for (let i = 0; i < 3; i++) expect((await ask({ key, at: 3_600_000, policies: [it] })).status).toBe('allowed')
    const back = await ask({ key, at: 0, policies: [it] })
    expect(back.status).toBe('refused')
    expect(back.policies[0]?.wait).toBeLessThanOrEqual(MINUTE + 1)
    expect((await ask({ key, at: MINUTE + 1, policies: [it] })).status).toBe('allowed')
  })

  it.each([
    ['a text', 'hello'],
    ['nothing', ''],
    ['another version', Buffer.from([9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
    ['a cut record', Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 65, 0])],
    ['random bytes', Buffer.from(Array.from({ length: 200 }, (_, i) => (i * 89 + 1) % 256))],
  ])('treats %s under its key as no record, says so, and goes on', async (_name, bytes) => {
    const key = aKey()
    await world.client().set(key, bytes)
    const first = await ask({ key, at: 0, policies: [policy(2)] })
    expect(first).toMatchObject({ status: 'allowed', foreign: true })
    expect(await ask({ key, at: 0, policies: [policy(2)] })).toMatchObject({ status: 'allowed', foreign: false })
    expect((await ask({ key, at: 0, policies: [policy(2)] })).status).toBe('refused')
  })

  it('treats a key of another type as no record', async () => {
    const key = aKey()
    await world.client().lpush(key, 'foreign')
    expect(await ask({ key, at: 0, policies: [policy(1)] })).toMatchObject({ status: 'allowed', foreign: true })
    expect(await ask({ key, at: 1, policies: [policy(1)] })).toMatchObject({ status: 'refused', foreign: false })
  })

  describe('when limits change at a deployment', () => {
    const spend = async (key: string, it: Policy, at: number): Promise<number> => {
      let allowed = 0
      while ((await ask({ key, at, policies: [it] })).status === 'allowed') allowed++
      return allowed
    }

    it('a lower limit counts what was used, and a higher one adds only the difference', async () => {
      const [low, high] = [policy(20), policy(80)]
      const lowered = aKey()
      expect(await spend(lowered, high, 0)).toBe(80)
      expect(await spend(lowered, low, 1)).toBe(0)
      expect(await spend(lowered, low, MINUTE + 1)).toBe(20)
      const raised = aKey()
      expect(await spend(raised, low, 0)).toBe(20)
      expect(await spend(raised, high, 1)).toBe(60)
    })

    it('the count survives a limit that needs other buckets, in both directions', async () => {
      const [fine, coarse] = [policy(50), policy(500)]
      const key = aKey()
      expect(await spend(key, fine, 0)).toBe(50)
      expect(await spend(key, coarse, 1)).toBe(450)
      const other = aKey()
      expect(await spend(other, coarse, 0)).toBe(500)
      expect(await spend(other, fine, 1)).toBe(0)
      expect(await spend(other, fine, MINUTE + coarse.quantumMs + 1)).toBe(50)
    })

    it('the count survives another window', async () => {
      const [minute, second, hour] = [policy(10), policy(10, 1000), policy(10, 3_600_000)]
      const longer = aKey()
      expect(await spend(longer, minute, 0)).toBe(10)
      expect(await spend(longer, hour, 1000)).toBe(0)
      expect(await spend(longer, hour, 3_600_001)).toBe(10)
      const shorter = aKey()
      expect(await spend(shorter, minute, 0)).toBe(10)
      expect(await spend(shorter, second, 500)).toBe(0)
      expect(await spend(shorter, second, 1002)).toBe(10)
    })

    it('while both versions run, each keeps its own limit in its own window, and nobody is held longer', async () => {
      const key = aKey()
      const [before, after] = [policy(30, 10_000), policy(300, MINUTE)]
      const admitted: { at: number; points: number }[] = []
      let at = 0
      for (let call = 0; call < 600; call++) {
        at += 50
        const it = call % 2 === 0 ? before : after
        if ((await ask({ key, at, policies: [it] })).status === 'allowed') admitted.push({ at, points: 1 })
      }
      expect(mostInAnyWindow(admitted, after.windowMs)).toBeLessThanOrEqual(after.limit)
      expect(admitted.length).toBe(300)
      expect((await ask({ key, at: at + 10_001, policies: [before] })).status).toBe('allowed')
    })
  })

  it('stays small while two versions with other buckets charge one record', async () => {
    const key = aKey()
    const [fine, coarse] = [policy(100), policy(5000)]
    await ask({ key, at: 0, policies: [fine] })
    for (let at = 1; at <= 600; at++) await ask({ key, at, policies: [coarse] })
    expect((await ask({ key, at: 601, policies: [fine] })).policies[0]?.used).toBe(601)
    expect(await world.client().memory('USAGE', key)).toBeLessThan(2400)
    expect((await ask({ key, at: 601 + MINUTE, policies: [fine] })).status).toBe('allowed')
  })

  describe('with blocks', () => {
    const block = [10_000, 2, 60_000, 300_000] as const
    const policies = [policy(1, 1000)]

    it('refuses for the length of the block, then serves again', async () => {
      const key = aKey()
      await ask({ key, at: 0, policies, block })
      expect(await ask({ key, at: 1, policies, block })).toMatchObject({ status: 'blocked', blockMs: 10_000 })
      expect(await ask({ key, at: 9_999, policies, block })).toMatchObject({ status: 'blocked', blockMs: 2 })
      expect((await ask({ key, at: 10_001, policies, block })).status).toBe('allowed')
    })

    it('doubles from one block to the next up to the longest, and forgets', async () => {
      const key = aKey()
      const lengths: number[] = []
      let at = 0
      for (let i = 0; i < 5; i++) {
        expect((await ask({ key, at, policies, block })).status).toBe('allowed')
        const { blockMs } = await ask({ key, at, policies, block })
        lengths.push(blockMs)
        at += blockMs
      }
      expect(lengths).toEqual([10_000, 20_000, 40_000, 60_000, 60_000])
      at += 300_001
      expect((await ask({ key, at, policies, block })).status).toBe('allowed')
      expect((await ask({ key, at, policies, block })).blockMs).toBe(10_000)
    })

    it('lasts until the window has room: who waits is not blocked again', async () => {
      const key = aKey()
      const slow = [policy(1, MINUTE)]
      await ask({ key, at: 0, policies: slow, block })
      const { blockMs } = await ask({ key, at: 0, policies: slow, block })
      expect(blockMs).toBe(MINUTE + 1)
      expect((await ask({ key, at: blockMs, policies: slow, block })).status).toBe('allowed')
    })
  })

  it('gives a refund back to the bucket that was charged and to no newer one', async () => {
    const key = aKey()
    const it = policy(2)
    await ask({ key, at: 0, policies: [it] })
    await ask({ key, at: MINUTE + 5, policies: [it] })
    const late = await ask({ key, at: MINUTE + 6, policies: [it], op: 'refund', argument: EPOCH })
    expect(late.policies[0]?.used).toBe(1)
    const twice = { key, at: MINUTE + 7, policies: [it], op: 'refund', argument: EPOCH + MINUTE + 5 } as const
    await ask({ ...twice, cost: 5 })
    expect((await ask({ ...twice, op: 'peek', argument: 0 })).policies[0]?.used).toBe(0)
  })
})
