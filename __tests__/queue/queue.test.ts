import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { createQueue, type Job, type JobInfo, PermanentJobError } from '../../src/queue/index.js'
import { decodeId, encodeId } from '../../src/queue/job-id.js'
import { createRedisManager } from '../../src/redis/index.js'
import { startCluster } from '../support/cluster.js'
import { eventually } from '../support/eventually.js'
import { fairNow } from '../support/fair-clock.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { afterwards, cleanAll, join, type Mail } from './support.js'

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
beforeEach(() => server.client().flushall())
afterEach(cleanAll)
afterAll(() => server.stop())

const ada: Mail = { to: 'ada' }
const slow = { within: 10_000 }

describe('a job', () => {
  it('is done by one of the workers of another process, and its result is kept', async () => {
    const web = await join(server.url)
    const background = await join(server.url)
    const seen: Job<Mail>[] = []
    background.queue.process((job) => {
      seen.push(job)
      return `sent to ${job.data.to}`
    })
    const { id, outcome } = await web.queue.add(ada)
    expect(outcome).toBe('added')
    await eventually(async () => (await web.queue.job(id))?.state === 'completed', slow)
    expect(seen).toMatchObject([{ id, data: ada, attempt: 1, attempts: 3 }])
    expect(await web.queue.job(id)).toMatchObject({ result: 'sent to ada', attempts: 1, reason: undefined })
    expect(await web.queue.counts()).toEqual({ waiting: 0, active: 0, delayed: 0, completed: 1, dead: 0 })
  })

  it('is done once by many workers with many jobs', async () => {
    const { queue } = await join<number>(server.url)
    const done: number[] = []
    for (let n = 0; n < 3; n++) {
      const { queue: other } = await join<number>(server.url)
      other.process(({ data }) => void done.push(data), { concurrency: 5 })
    }
    await Promise.all(Array.from({ length: 300 }, (_, n) => queue.add(n)))
    await eventually(() => done.length >= 300, slow)
    await eventually(async () => (await queue.counts()).completed === 300, slow)
    expect(done.sort((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, n) => n))
  })

  it('with an id that is known is not added again, however often and by whomever', async () => {
    const [one, other] = [await join(server.url), await join(server.url)]
    const ids = ['order:17', '17', '%31', 'a b', '{x}', '*', '0:r', 'ü\n']
    for (const id of ids) {
      const results = await Promise.all([one, other, one, other].map(({ queue }) => queue.add(ada, { id })))
      expect(new Set(results.map((result) => result.id))).toEqual(new Set([id]))
    }
    expect((await one.queue.counts()).waiting).toBe(ids.length)
    const done: string[] = []
    one.queue.process(({ id }) => void done.push(id))
    await eventually(() => done.length === ids.length, slow)
    await eventually(async () => (await one.queue.counts()).completed === ids.length, slow)
    for (const id of ids) await other.queue.add(ada, { id })
    expect((await one.queue.counts()).waiting).toBe(0)
    expect(done.sort()).toEqual([...ids].sort())
  })

  it('waits for its delay, and comes by its priority', async () => {
    const { queue } = await join<string>(server.url)
    const started = performance.now()
    await queue.add('late', { delay: 400 })
    await queue.add('second', { priority: 2 })
    await queue.add('first', { priority: 1 })
    await queue.add('before all')
    expect(await queue.counts()).toMatchObject({ waiting: 3, delayed: 1 })
    const done: string[] = []
    let lateAt = 0
    queue.process(({ data }) => {
      done.push(data)
      if (data === 'late') lateAt = performance.now()
    })
    await eventually(() => done.length === 4, slow)
    expect(done).toEqual(['before all', 'first', 'second', 'late'])
    expect(lateAt - started).toBeGreaterThanOrEqual(395)
  })

  it('is tried again after its backoff, and shows its progress', async () => {
    const { queue } = await join(server.url, { backoff: { type: 'exponential', delay: 100 }, attempts: 3 })
    const at: number[] = []
    queue.process(async (job) => {
      at.push(performance.now())
      await job.progress({ attempt: job.attempt })
      if (job.attempt < 3) throw new Error('not yet')
      return 'now'
    })
    const { id } = await queue.add(ada)
    await eventually(async () => (await queue.job(id))?.state === 'completed', slow)
    expect(await queue.job(id)).toMatchObject({ attempts: 3, result: 'now', progress: { attempt: 3 } })
    const [first = 0, second = 0, third = 0] = at
    expect(second - first).toBeGreaterThanOrEqual(95)
    expect(third - second).toBeGreaterThanOrEqual(195)
  })

  it('works on a Cluster', async () => {
    const cluster = await startCluster()
    afterwards(() => cluster.stop())
    const redis = createRedisManager({ cluster: { nodes: cluster.nodes }, commandTimeout: '5s', logger: false })
    afterwards(() => redis.close())
    await redis.ready('10s')
    for (const name of ['one', 'two', 'three']) {
      const queue = createQueue<Mail>(name, { redis, attempts: 1, deadline: '5s' })
      afterwards(() => queue.close(100))
      const done: string[] = []
      queue.process(({ data, id }) => {
        done.push(data.to)
        if (id === 'bad') throw new Error('no')
      })
      await queue.add(ada, { id: 'good' })
      await queue.add(ada, { id: 'bad' })
      await eventually(() => done.length === 2, slow)
      await eventually(async () => (await queue.dlq.list()).length === 1, slow)
      expect(await queue.dlq.retry('bad')).toBe(true)
      await eventually(() => done.length === 3, slow)
    }
  }, 60_000)
})

describe('a job that fails for good', () => {
  it('is a dead letter with its reason, and is done again when it is retried', async () => {
    const { queue, redis } = await join(server.url, { attempts: 2 })
    const outcomes: string[] = []
    redis.on('queue.job', ({ outcome }) => void outcomes.push(outcome))
    let broken = true
    queue.process(() => {
      if (broken) throw new Error('mailbox full')
    })
    const { id } = await queue.add(ada, { id: 'm1' })
    await eventually(async () => (await queue.dlq.count()) === 1, slow)
    expect(await queue.dlq.list()).toMatchObject([
      { id, state: 'dead', data: ada, attempts: 2, reason: 'mailbox full' },
    ])
    await eventually(() => outcomes.length === 3, slow)
    expect(outcomes).toEqual(['failed', 'failed', 'dead'])
    broken = false
    expect(await queue.dlq.retry('unknown')).toBe(false)
    expect(await queue.dlq.retry('m1')).toBe(true)
    await eventually(async () => (await queue.job('m1'))?.state === 'completed', slow)
    expect(await queue.dlq.retry('m1')).toBe(false)
    expect(await queue.dlq.count()).toBe(0)
  })

  it('has all its attempts again after a retry', async () => {
    const { queue } = await join(server.url, { attempts: 3 })
    let runs = 0
    queue.process(() => {
      runs++
      throw new Error('never')
    })
    await queue.add(ada, { id: 'm1' })
    await eventually(async () => (await queue.dlq.count()) === 1, slow)
    await queue.dlq.retry('m1')
    await eventually(async () => runs === 6 && (await queue.dlq.count()) === 1, slow)
  })

  it('is dead at once where trying again is of no use', async () => {
    const { queue } = await join(server.url, { attempts: 5 })
    let runs = 0
    queue.process(() => {
      runs++
      throw new PermanentJobError('no such address')
    })
    await queue.add(ada)
    await eventually(async () => (await queue.dlq.count()) === 1, slow)
    expect([runs, (await queue.dlq.list())[0]?.reason]).toEqual([1, 'no such address'])
  })

  it('is listed in pages, the latest first; all are put back or purged', async () => {
    const { queue } = await join<number>(server.url, { attempts: 1 })
    let broken = true
    const done: number[] = []
    queue.process(({ data }) => {
      if (broken) throw 'a string, not an error'
      done.push(data)
    })
    for (let n = 0; n < 7; n++) await queue.add(n, { id: `j${n}` })
    await eventually(async () => (await queue.dlq.count()) === 7, slow)
    expect((await queue.dlq.list({ limit: 3 })).map(({ id }) => id)).toEqual(['j6', 'j5', 'j4'])
    expect((await queue.dlq.list({ offset: 5 })).map(({ id }) => id)).toEqual(['j1', 'j0'])
    expect((await queue.dlq.list({ limit: 1 }))[0]?.reason).toBe('a string, not an error')
    expect(await queue.dlq.purge({ olderThan: '1h' })).toBe(0)
    broken = false
    expect(await queue.dlq.retryAll(3)).toBe(3)
    await eventually(() => done.length === 3, slow)
    expect(done.sort()).toEqual([0, 1, 2])
    expect(await queue.dlq.retryAll()).toBe(4)
    await eventually(() => done.length === 7, slow)
    broken = true
    await queue.add(9, { id: 'j9' })
    await eventually(async () => (await queue.dlq.count()) === 1, slow)
    expect(await queue.dlq.purge()).toBe(1)
    expect(await queue.dlq.list()).toEqual([])
  })

  it('is reported until onDead has succeeded, once then, and again when it dies again', async () => {
    const reports: JobInfo<Mail>[] = []
    let deaf = true
    const onDead = async (job: JobInfo<Mail>): Promise<void> => {
      if (deaf) throw new Error('pager unreachable')
      reports.push(job)
    }
    const { queue, lines } = await join(server.url, { attempts: 1, onDead })
    const worker = queue.process(() => {
      throw new Error('no')
    })
    await queue.add(ada, { id: 'm1' })
    await queue.add(ada, { id: 'm2' })
    await eventually(async () => (await queue.dlq.count()) === 2, slow)
    await eventually(() => lines.some((line) => line.includes('HOLDFAST_QUEUE_ON_DEAD')), slow)
    await worker.stop()
    deaf = false
    expect(await queue.dlq.sweep()).toBe(2)
    expect(await queue.dlq.sweep()).toBe(0)
    expect(reports.map(({ id }) => id).sort()).toEqual(['m1', 'm2'])
    queue.process(() => {
      throw new Error('still no')
    })
    await queue.dlq.retry('m1')
    await eventually(() => reports.length === 3, slow)
    expect(reports[2]).toMatchObject({ id: 'm1', reason: 'still no' })
  })

  it('is found by any worker that starts later, if the one that saw it die could not report it', async () => {
    const { queue, redis } = await join(server.url, { attempts: 1 })
    const worker = queue.process(() => {
      throw new Error('no')
    })
    await queue.add(ada, { id: 'm1' })
    await eventually(async () => (await queue.dlq.count()) === 1, slow)
    await worker.stop()
    // As a process leaves it that dies between the death and the report.
    await server.client().del(redis.keys.key('queue', redis.keys.slot('mails'), 'reported'))
    const found: string[] = []
    const { queue: other } = await join(server.url, { onDead: ({ id }) => found.push(id) })
    other.process(() => {})
    await eventually(() => found.length === 1, slow)
  })
})

describe('a worker', () => {
  it('that is stopped finishes what it has and takes nothing more', async () => {
    const { queue } = await join<number>(server.url)
    const done: number[] = []
    let finish: () => void = () => {}
    const worker = queue.process(async ({ data }) => {
      await new Promise<void>((resolve) => {
        finish = resolve
      })
      done.push(data)
    })
    await queue.add(1)
    await queue.add(2)
    await eventually(() => worker.active === 1, slow)
    const stopping = worker.stop()
    setTimeout(() => finish(), 100)
    expect(await stopping).toBe(true)
    expect(done).toEqual([1])
    expect(await queue.counts()).toMatchObject({ waiting: 1, active: 0, completed: 1 })
  })

  it('whose job does not end in time has its signal aborted, and leaves the job to others', async () => {
    const { queue } = await join(server.url)
    let reason: unknown
    const worker = queue.process(
      ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            reason = signal.reason
            reject(signal.reason)
          })
        }),
    )
    await queue.add(ada)
    await eventually(() => worker.active === 1, slow)
    const started = fairNow()
    expect(await worker.stop(100)).toBe(true)
    expect(fairNow() - started).toBeLessThan(1500)
    expect(String(reason)).toContain('stopping')
    const done: string[] = []
    queue.process(({ data }) => void done.push(data.to))
    await eventually(() => done.length === 1, slow)
  })

  it('that dies in the middle of a job loses it to another one', async () => {
    const doomed = await join(server.url)
    const worker = doomed.queue.process(() => new Promise(() => {}), { lock: 300 })
    await doomed.queue.add(ada, { id: 'm1' })
    await eventually(() => worker.active === 1, slow)
    // As SIGKILL does: connections break and nothing is said.
    await doomed.redis.close()
    const { queue, redis } = await join(server.url)
    const stalled: string[] = []
    redis.on('queue.job', ({ outcome, id }) => void stalled.push(`${outcome} ${id}`))
    queue.process(() => 'done', { lock: 300 })
    await eventually(async () => (await queue.job('m1'))?.result === 'done', slow)
    expect(stalled).toEqual(['stalled m1', 'completed m1'])
  })
})

describe('bad input', () => {
  it.each(['', 'a:b', '{x}', 'a b', 'a\nb', '../x', 'x'.repeat(101), 7 as unknown as string])(
    'refuses the name %j',
    (name) => {
      const redis = createRedisManager({ env: {}, logger: false })
      expect(() => createQueue(name, { redis })).toThrow('createQueue: "name" must be 1 to 100 letters')
    },
  )

  it.each([
    ['a cycle', cyclic(), 'not-json'],
    ['undefined', undefined, 'not-json'],
    ['more than maxBytes', 'x'.repeat(1001), 'too-large'],
  ])('refuses %s with a clear error and adds nothing', async (_, data, problem) => {
    const { queue } = await join<unknown>(server.url, { maxBytes: 1000, outbox: 10 })
    await expect(queue.add(data)).rejects.toMatchObject({ code: 'ERR_HOLDFAST_PAYLOAD', problem })
    expect([queue.buffered, (await queue.counts()).waiting]).toEqual([0, 0])
  })

  it('refuses options out of their range', async () => {
    const { queue, redis } = await join(server.url)
    await expect(queue.add(ada, { id: '' })).rejects.toThrow('"id"')
    await expect(queue.add(ada, { priority: 0 })).rejects.toThrow('"priority"')
    expect(() => queue.process(() => {}, { concurrency: 0 })).toThrow('"concurrency"')
    expect(() => createQueue('x', { redis, backoff: { type: 'random' as 'fixed', delay: 1 } })).toThrow('"type"')
    expect(() => createQueue('x', { redis, keepDead: { count: 1 } as never })).toThrow('"age" is required')
  })

  it('encodes ids apart from each other, from numbers and from colons', () => {
    const anId = fc.oneof(fc.string({ minLength: 1 }), fc.stringMatching(/^[0-9%:]{1,5}$/))
    fc.assert(
      fc.property(anId, (id) => {
        const encoded = encodeId(id)
        expect(decodeId(encoded)).toBe(id)
        expect(encoded).not.toMatch(/:|^\d+$/)
      }),
    )
  })
})

it('warns once, before any job is added, of a server that evicts', async () => {
  const evicting = await startRedis({ args: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'] })
  afterwards(() => evicting.stop())
  const { lines } = await join(evicting.url)
  await eventually(() => lines.some((line) => line.includes('HOLDFAST_QUEUE_EVICTION')))
  expect(lines.filter((line) => line.includes('allkeys-lru'))).toHaveLength(1)
  const { lines: quiet } = await join(server.url)
  expect(quiet).toEqual([])
})

function cyclic(): unknown {
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  return cycle
}
