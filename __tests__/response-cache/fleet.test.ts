import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { type RedisServer, startRedis } from '../support/redis-server.js'

const FULL = process.env.HOLDFAST_TEST_FULL === '1'

let server: RedisServer
const children: ChildProcess[] = []
beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.stop())
beforeEach(() => server.client().flushall())
afterEach(() => {
  server.resume()
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

async function fleet(size: number, takes: number, deadline: number, coalesce: number): Promise<number[]> {
  const started = Array.from({ length: size }, () =>
    fork(join(__dirname, 'fleet-process.ts'), [server.url, takes, deadline, coalesce].map(String), {
      execArgv: ['--import', 'tsx'],
    }),
  )
  children.push(...started)
  return Promise.all(started.map(async (child) => (await once(child, 'message'))[0] as number))
}

interface Answer {
  readonly status: number
  readonly state: string
  readonly body: string
  readonly ms: number
}

const agent = new Agent({ keepAlive: true, maxSockets: 20 })
afterAll(() => agent.destroy())

/** As a load balancer asks: under one name, whichever process it is. */
function ask(port: number, path: string): Promise<Answer> {
  const started = performance.now()
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ port, host: '127.0.0.1', path, agent, headers: { Host: 'shop.example' } }, (res) => {
      const chunks: Buffer[] = []
      res.on('data', (chunk: Buffer) => chunks.push(chunk))
      res.on('error', reject)
      res.on('end', () => {
        const body = Buffer.concat(chunks).toString()
        const state = String(res.headers['x-cache'])
        resolve({ status: res.statusCode ?? 0, state, body, ms: performance.now() - started })
      })
    })
    sent.on('error', reject)
    sent.end()
  })
}

describe('a fleet of processes', () => {
  it('of 8, with 25 requests each for one cold URL, runs the handler once', async () => {
    const ports = await fleet(8, 500, 10_000, 20_000)
    const answers = await Promise.all(
      ports.flatMap((port) => Array.from({ length: 25 }, () => ask(port, '/count/cold'))),
    )
    expect(new Set(answers.map(({ status, body }) => `${status} ${body}`))).toEqual(new Set(['200 {"name":"cold"}']))
    expect(await server.client().get('runs:cold')).toBe('1')
    expect(answers.filter(({ state }) => state === 'MISS')).toHaveLength(1)
    expect(answers.filter(({ state }) => state === 'HIT')).toHaveLength(199)
  }, 120_000)

  const rounds = 20
  ;(FULL ? it : it.skip)(
    'answers every request while Redis is stopped and goes on at random, none later than its deadlines allow',
    async () => {
      const ports = await fleet(2, 20, 75, 2000)
      await Promise.all(ports.map((port) => ask(port, '/plain/warm')))
      const answers: Promise<Answer & { readonly wanted: string }>[] = []
      let over = false
      const load = (async () => {
        for (let index = 0; !over; index++) {
          const wanted = String(index % 40)
          const answer = ask(ports[index % 2] as number, `/plain/${wanted}`)
          answers.push(answer.then((given) => ({ ...given, wanted })))
          await sleep(4)
        }
      })()
      for (let round = 0; round < rounds; round++) {
        await sleep(100 + Math.random() * 300)
        server.pause()
        await sleep(50 + Math.random() * 600)
        server.resume()
      }
      over = true
      await load
      const given = await Promise.all(answers)
      expect(given.filter(({ status, body, wanted }) => status !== 200 || body !== `{"name":"${wanted}"}`)).toEqual([])
      // A stopped Redis costs each command 75 ms at most; what a leader could not say its followers wait for as long as
      // they wait for any, which here is 2 s.
      expect(Math.max(...given.map(({ ms }) => ms))).toBeLessThan(10_000)
      const states = new Set(given.map(({ state }) => state))
      expect(states.has('HIT')).toBe(true)
      expect(states.has('BYPASS')).toBe(true)
      expect([...states].filter((state) => !['HIT', 'MISS', 'BYPASS'].includes(state))).toEqual([])
    },
    120_000,
  )
})
