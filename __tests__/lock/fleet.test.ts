import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import type { SectionReport } from './fleet-worker.js'

const FULL = process.env.HOLDFAST_TEST_FULL === '1'
const PROCESSES = 8
const RESOURCES = 3
const SECTIONS = FULL ? 5000 : 300
const KILLS = FULL ? 20 : 2
const STALL_EVERY = FULL ? 60 : 25
const TTL = 300

let server: RedisServer
const running = new Set<ChildProcess>()

beforeAll(async () => {
  server = await startRedis()
})
afterAll(async () => {
  for (const child of running) child.kill('SIGKILL')
  await server.stop()
})

interface Tally {
  accepted: number
  refused: number
  heldAfterStall: number
  stalls: number
  sections: number
}

/** A process that does sections until told to quit, and that is stopped for twice the ttl where it asks for it. */
function work(id: string, tally: Tally): ChildProcess {
  const args = [server.url, id, String(RESOURCES), String(TTL), String(STALL_EVERY)]
  const child = fork(join(__dirname, 'fleet-worker.ts'), args, { execArgv: ['--import', 'tsx'] })
  running.add(child)
  child.on('exit', () => running.delete(child))
  child.on('message', (message: SectionReport | { type: 'stall' }) => {
    if (message.type === 'stall') {
      tally.stalls++
      child.kill('SIGSTOP')
      child.send('go on')
      setTimeout(() => child.kill('SIGCONT'), 2 * TTL)
      return
    }
    tally.sections++
    if (message.accepted) tally.accepted++
    else tally.refused++
    if (message.stalled && message.heldAtTheEnd) tally.heldAfterStall++
  })
  return child
}

it(
  `${PROCESSES} processes, ${SECTIONS} sections, holders killed and stopped beyond their ttl: no two act under a valid fence`,
  async () => {
    const tally: Tally = { accepted: 0, refused: 0, heldAfterStall: 0, stalls: 0, sections: 0 }
    const fleet = Array.from({ length: PROCESSES }, (_, index) => work(`p${index}`, tally))
    for (let kills = 1; kills <= KILLS; kills++) {
      while (tally.sections < (SECTIONS * kills) / (KILLS + 1)) await sleep(5)
      const victim = kills % PROCESSES
      fleet[victim]?.kill('SIGKILL')
      fleet[victim] = work(`p${victim}-${kills}`, tally)
    }
    while (tally.sections < SECTIONS) await sleep(5)
    const exits = [...running].map((child) => once(child, 'exit'))
    for (const child of running) child.send('quit')
    await Promise.all(exits)

    const client = server.client()
    let writes = 0
    let lost = 0
    for (let resource = 0; resource < RESOURCES; resource++) {
      const log = (await client.lrange(`test:{${resource}}:log`, 0, -1)).map((line) => line.split(' '))
      const fences = log.map(([fence]) => Number(fence))
      expect(fences).toEqual([...fences].sort((a, b) => a - b))
      const holderOf = new Map<string, string>()
      for (const [fence = '', holder = ''] of log) {
        expect(holderOf.get(fence) ?? holder).toBe(holder)
        holderOf.set(fence, holder)
      }
      const accepted = log.filter(([, , what]) => what === 'write').length
      expect(Number(await client.get(`test:{${resource}}:value`))).toBe(accepted)
      writes += accepted
      lost += accepted - Number(await client.get(`test:{${resource}}:shadow`))
    }
    // A holder may be killed between its write and its report.
    expect(writes).toBeGreaterThanOrEqual(tally.accepted)
    expect(writes).toBeLessThanOrEqual(tally.accepted + KILLS + PROCESSES)
    expect(tally.heldAfterStall).toBe(0)
    expect(tally.stalls).toBeGreaterThan(0)
    // The proof that there was something to stop: the same writes without a fence overwrote each other.
    expect(tally.refused).toBeGreaterThan(0)
    expect(lost).not.toBe(0)
    if (FULL) console.info(`locks: ${JSON.stringify({ ...tally, writes, lostWithoutFence: lost })}`)
  },
  FULL ? 300_000 : 60_000,
)
