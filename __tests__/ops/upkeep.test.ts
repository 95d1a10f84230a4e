import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { createUpkeep, type Upkeep, type UpkeepOptions, type UpkeepRun } from '../../src/ops/index.js'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

let server: RedisServer
const managers: RedisManager[] = []
const upkeeps: Upkeep[] = []

beforeAll(async () => {
  server = await startRedis()
})
beforeEach(() => server.client().flushall())
afterEach(async () => {
  await Promise.all(upkeeps.splice(0).map((upkeep) => upkeep.close()))
  await Promise.all(managers.splice(0).map((redis) => redis.close()))
})
afterAll(() => server.stop())

async function connected(): Promise<RedisManager> {
  // A loaded machine is no outage.
  const redis = createRedisManager({ url: server.url, logger: false, commandTimeout: 1000 })
  managers.push(redis)
  await redis.ready()
  return redis
}

function kept(redis: RedisManager, tasks: UpkeepOptions['tasks']): Upkeep {
  const upkeep = createUpkeep({ redis, tasks })
  upkeeps.push(upkeep)
  return upkeep
}

describe('createUpkeep', () => {
  it('gives a task of the fleet to one process at a time', async () => {
    let [running, most, runs] = [0, 0, 0]
    const run = async () => {
      most = Math.max(most, ++running)
      await sleep(20)
      running--
      runs++
    }
    const fleet = await Promise.all(Array.from({ length: 4 }, connected))
    const all = fleet.map((redis) => kept(redis, { clean: { run, every: '1h' } }))
    for (let round = 0; round < 3; round++) await Promise.all(all.map((upkeep) => upkeep.run('clean')))
    expect(most).toBe(1)
    expect(runs).toBe(3)
    expect(all.filter((upkeep) => upkeep.last().clean !== undefined)).toHaveLength(1)
  })

  it('runs a task of the process in every process', async () => {
    let runs = 0
    const task = { run: () => void runs++, every: '1h', scope: 'process' } as const
    const fleet = await Promise.all(Array.from({ length: 3 }, connected))
    await Promise.all(fleet.map((redis) => kept(redis, { flush: task }).run('flush')))
    expect(runs).toBe(3)
  })

  it('repeats by itself, and soon where work is left', async () => {
    const turns: number[] = []
    let left = 3
    kept(await connected(), {
      clean: {
        every: 100,
        run: () => {
          turns.push(performance.now())
          return { done: 1, more: --left > 0 }
        },
      },
    })
    await eventually(() => turns.length >= 5)
  })

  it('hands over when the owner is gone', async () => {
    const [first, second] = await Promise.all([connected(), connected()])
    const ran: string[] = []
    const one = kept(first, { clean: { every: 200, budget: 50, run: () => void ran.push('one') } })
    await eventually(() => ran.length > 0)
    await one.close()
    ran.length = 0
    kept(second, { clean: { every: 200, budget: 50, run: () => void ran.push('two') } })
    await eventually(() => expect(ran).toContain('two'))
    expect(ran).not.toContain('one')
  })

  it('bounds a turn by its budget, and begins no second one beside a turn that hangs', async () => {
    const redis = await connected()
    const emitted: UpkeepRun[] = []
    redis.on('upkeep.run', (run) => void emitted.push(run))
    let [signalled, runs] = [false, 0]
    const upkeep = kept(redis, {
      hang: {
        every: '1h',
        budget: 50,
        run: ({ signal }) => {
          runs++
          return new Promise<undefined>(() => signal.addEventListener('abort', () => (signalled = true)))
        },
      },
      obey: {
        every: '1h',
        budget: 50,
        run: async ({ timeLeft }) => {
          let done = 0
          while (timeLeft()) {
            await sleep(5)
            done++
          }
          return { done, more: true }
        },
      },
    })
    const [hung, obeyed] = await Promise.all([upkeep.run('hang'), upkeep.run('obey')])
    expect(hung).toMatchObject({ task: 'hang', outcome: 'overrun' })
    expect(signalled).toBe(true)
    expect(obeyed).toMatchObject({ outcome: 'done', more: true })
    expect(obeyed?.done).toBeGreaterThan(0)
    expect(await upkeep.run('hang')).toBeUndefined()
    expect(runs).toBe(1)
    expect(redis.sources()[0]?.status()).toMatchObject({
      status: 'warn',
      values: { tasks: 2, failing: 1, unfinished: 1 },
    })
    expect(emitted).toHaveLength(2)
  })

  it('survives a task that throws, says so once without its message, and tries again', async () => {
    const lines: string[] = []
    const note = (line: string): void => void lines.push(line)
    const redis = createRedisManager({ url: server.url, logger: { info: note, warn: note, error: note } })
    managers.push(redis)
    await redis.ready()
    const upkeep = kept(redis, {
      clean: {
        every: '1h',
        run: () => {
          throw new RangeError('user 4711')
        },
      },
    })
    expect(await upkeep.run('clean')).toMatchObject({ outcome: 'failed' })
    expect(await upkeep.run('clean')).toMatchObject({ outcome: 'failed' })
    const warnings = lines.filter((line) => line.includes('HOLDFAST_UPKEEP_FAILED'))
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('RangeError')
    expect(lines.join()).not.toContain('4711')
  })

  it('leaves tasks of the fleet alone while Redis is away, and goes on with those of the process', async () => {
    const redis = createRedisManager({ env: {}, logger: false })
    managers.push(redis)
    const ran: string[] = []
    const upkeep = kept(redis, {
      clean: { run: () => void ran.push('fleet') },
      flush: { run: () => void ran.push('process'), scope: 'process' },
    })
    await upkeep.run('clean')
    await upkeep.run('flush')
    expect(ran).toEqual(['process'])
  })

  it('is stopped by close: what runs is told, and nothing begins after it', async () => {
    let [signalled, runs] = [false, 0]
    const upkeep = kept(await connected(), {
      clean: {
        every: 100,
        scope: 'process',
        run: async ({ signal }) => {
          runs++
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
          signalled = true
        },
      },
    })
    await eventually(() => runs === 1)
    const started = performance.now()
    await upkeep.close()
    expect(performance.now() - started).toBeLessThan(2000)
    expect(signalled).toBe(true)
    expect(await upkeep.run('clean')).toBeUndefined()
    await sleep(250)
    expect(runs).toBe(1)
  })

  it('stops by itself when the manager is closed', async () => {
    const redis = await connected()
    let runs = 0
    kept(redis, { clean: { every: 100, scope: 'process', run: () => void runs++ } })
    await eventually(() => runs > 0)
    await redis.close()
    await eventually(() => redis.sources().length === 0)
  })

  it('refuses options it does not know, and tasks it does not have', async () => {
    const redis = await connected()
    expect(() => createUpkeep({ redis, tasks: { clean: { every: '1m' } as never } })).toThrow(
      'createUpkeep: clean: "run" is required',
    )
    expect(() => createUpkeep({ redis, tasks: { clean: { run: () => undefined, evry: 1 } as never } })).toThrow(
      '"evry" is not an option',
    )
    expect(() => createUpkeep({ redis } as never)).toThrow('createUpkeep: "tasks" is required')
    await expect(kept(redis, {}).run('nothing')).rejects.toMatchObject({ code: 'ERR_HOLDFAST_CONFIG' })
  })
})
