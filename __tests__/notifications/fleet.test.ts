import { spawn } from 'node:child_process'
import { Agent, type ClientRequest, get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, it } from '@jest/globals'
import { createNotifier } from '../../src/notifications/index.js'
import { createRedisManager } from '../../src/redis/index.js'
import { eventually } from '../support/eventually.js'
import { startRedis } from '../support/redis-server.js'
import { afterwards, cleanAll, createParser } from './support.js'

afterEach(cleanAll)

const FULL = process.env.HOLDFAST_TEST_FULL === '1'
const USERS = FULL ? 500 : 100
const PER_USER = 40
/** One on each process. */
const CONNECTIONS = 2 * USERS

/** A process of its own that serves event streams. */
async function startProcess(url: string): Promise<string> {
  const script = join(__dirname, 'fleet-server.ts')
  const child = spawn(process.execPath, ['--import', 'tsx', script], {
    env: { ...process.env, REDIS_URL: url },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  afterwards(() => child.kill('SIGKILL'))
  const port = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()))
    child.once('exit', (code) => reject(new Error(`the process ended with ${code}`)))
  })
  return `http://127.0.0.1:${port}/events`
}

/** Behaves as an EventSource does: comes back with its last id, here to whichever process the balancer picks. */
class Browser {
  readonly got: number[] = []
  gaps = 0
  reconnects = -1
  lastEventId: string | undefined
  readonly #user: string
  readonly #pick: () => string
  #request: ClientRequest | undefined
  #stopped = false

  constructor(user: string, pick: () => string) {
    this.#user = user
    this.#pick = pick
    this.#connect()
  }

  drop(): void {
    this.#request?.destroy()
  }

  stop(): void {
    this.#stopped = true
    this.drop()
  }

  #connect(): void {
    if (this.#stopped) return
    this.reconnects++
    const headers = {
      'X-User': this.#user,
      ...(this.lastEventId === undefined ? {} : { 'Last-Event-ID': this.lastEventId }),
    }
    const request = get(this.#pick(), { headers, agent: new Agent() }, (response) => {
      const parse = createParser(({ event, id, data }) => {
        if (id !== undefined) this.lastEventId = id
        if (event === 'gap') this.gaps++
        if (event === 'message') this.got.push(data.data as number)
      })
      response
        .setEncoding('utf8')
        .on('data', parse)
        .on('error', () => {})
    })
    request.on('error', () => {})
    request.once('close', () => setTimeout(() => this.#connect(), 50))
    this.#request = request
  }
}

it(`${CONNECTIONS} connections to two processes miss nothing of ${USERS * PER_USER} notifications, in spite of random disconnects and a restart of Redis`, async () => {
  const server = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  afterwards(() => server.stop())
  const urls = await Promise.all([startProcess(server.url), startProcess(server.url)])
  const redis = createRedisManager({ url: server.url, logger: false })
  const notifier = createNotifier({ redis })
  afterwards(() => redis.close())
  await redis.ready()

  const users = Array.from({ length: USERS }, (_, n) => `user-${n}`)
  const browsers = users.flatMap((user) =>
    [0, 1].map((at) => {
      let first = true
      return new Browser(user, () => {
        const url = urls[first ? at : Math.floor(Math.random() * 2)] as string
        first = false
        return url
      })
    }),
  )
  afterwards(() => {
    for (const browser of browsers) browser.stop()
  })
  await eventually(() => browsers.every(({ lastEventId }) => lastEventId !== undefined), { within: 30_000, every: 50 })

  let told = 0
  let doubtful = 0
  const total = USERS * PER_USER
  // One after the other for each user, so that the order is known; again with the same key while the outcome is not.
  const tellAll = async (user: string): Promise<void> => {
    for (let n = 0; n < PER_USER; n++) {
      while (!('id' in (await notifier.notify(user, { data: n, key: `${n}` })))) {
        doubtful++
        await sleep(20)
      }
      told++
      await sleep(Math.random() * 40)
    }
  }
  let restarts = 0
  const disturb = async (): Promise<void> => {
    while (told < total) {
      for (let n = 0; n < CONNECTIONS / 50; n++) browsers[Math.floor(Math.random() * CONNECTIONS)]?.drop()
      if (restarts === 0 && told > total / 2) {
        restarts++
        await server.restart()
      }
      await sleep(50)
    }
  }
  await Promise.all([disturb(), ...users.map(tellAll)])
  await eventually(() => browsers.every(({ got }) => got.at(-1) === PER_USER - 1), { within: 30_000, every: 50 })

  const expected = Array.from({ length: PER_USER }, (_, n) => n)
  for (const { got, gaps } of browsers) expect({ got, gaps }).toEqual({ got: expected, gaps: 0 })
  expect(restarts).toBe(1)
  expect(doubtful).toBeGreaterThan(0)
  expect(browsers.reduce((sum, { reconnects }) => sum + reconnects, 0)).toBeGreaterThan(CONNECTIONS / 10)
}, 180_000)
