import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { eventually } from '../support/eventually.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import type { Said } from './fleet-worker.js'

const PROCESSES = 3
const WITHIN = { within: 25_000, every: 50 }

interface Member {
  readonly child: ChildProcess
  watching: boolean
  turns: { readonly from: number; readonly to: number }[]
}

let server: RedisServer
const MAX_MEMORY = 20 * 1_048_576
let fleet: Member[] = []
let told: string[] = []

function start(): Member {
  const child = fork(join(__dirname, 'fleet-worker.ts'), [server.url], { execArgv: ['--import', 'tsx'] })
  const member: Member = { child, watching: false, turns: [] }
  child.on('message', (said: Said) => {
    if (said.type === 'told') told.push(said.text)
    if (said.type === 'watching') member.watching = said.value
    if (said.type === 'turn') member.turns.push(said)
  })
  return member
}

const watchers = (): Member[] => fleet.filter(({ watching }) => watching)
const workers = (): Member[] => fleet.filter(({ turns }) => turns.length > 0)
const others = (than: Member): Member[] => fleet.filter((member) => member !== than)

/** The one process that watches, once there is one and the others have said that they do not. */
async function watcher(among = () => watchers()): Promise<Member> {
  await eventually(() => among().length === 1, WITHIN)
  return among()[0] as Member
}

async function fill(): Promise<void> {
  const used = async (): Promise<number> =>
    Number(/^used_memory:(\d+)/m.exec(await server.client().info('memory'))?.[1])
  // In small pieces: what is on its way counts as well, and the leases need room.
  for (let i = 0; (await used()) < 0.86 * MAX_MEMORY; i++) {
    await server.client().set(`filler:${i}`, 'x'.repeat(131_072))
  }
}

/** Also to the successor: who ends in the very moment it tells leaves an alert that is told again. */
async function toldOfMemory(): Promise<void> {
  await eventually(() => expect(told).toEqual(['+memory']), WITHIN)
  await eventually(async () => {
    const [key = ''] = await server.client().keys('*:monitor:standing:*')
    expect(await server.client().get(key)).toContain('"memory"')
  }, WITHIN)
}

async function empty(): Promise<void> {
  const keys = await server.client().keys('filler:*')
  await server.client().del(...keys)
}

describe('a fleet of real processes', () => {
  beforeAll(async () => {
    server = await startRedis({ args: ['--maxmemory', String(MAX_MEMORY), '--maxmemory-policy', 'noeviction'] })
  })
  afterEach(async () => {
    await Promise.all(
      fleet.map(async ({ child }) => {
        if (child.exitCode !== null || child.signalCode !== null) return
        child.kill('SIGCONT')
        child.send('quit')
        await once(child, 'exit')
      }),
    )
    fleet = []
    told = []
    await server.client().flushall()
  })
  afterAll(async () => {
    for (const { child } of fleet) child.kill('SIGKILL')
    await server.stop()
  })

  it('tells of a condition once, whoever is killed meanwhile, and a survivor tells that it is over', async () => {
    fleet = Array.from({ length: PROCESSES }, start)
    const first = await watcher()
    await fill()
    await toldOfMemory()
    first.child.kill('SIGKILL')
    first.watching = false
    const second = await watcher()
    expect(second).not.toBe(first)
    // Some looks of the successor, who finds the condition as it was left.
    await sleep(1000)
    expect(told).toEqual(['+memory'])
    await empty()
    await eventually(() => expect(told).toEqual(['+memory', '-memory']), WITHIN)
    expect(watchers()).toHaveLength(1)
  }, 90_000)

  it('goes on while the one on watch is stopped, and wants nothing back when it wakes', async () => {
    fleet = Array.from({ length: PROCESSES }, start)
    const first = await watcher()
    await fill()
    await toldOfMemory()
    first.child.kill('SIGSTOP')
    const second = await watcher(() => others(first).filter(({ watching }) => watching))
    await empty()
    await eventually(() => expect(told).toEqual(['+memory', '-memory']), WITHIN)
    first.child.kill('SIGCONT')
    await eventually(() => !first.watching, WITHIN)
    await sleep(1000)
    expect(watchers()).toHaveLength(1)
    expect(second.watching).toBe(true)
    expect(told).toEqual(['+memory', '-memory'])
  }, 90_000)

  it('gives turns of a task to one process at a time, and to another one when that is killed', async () => {
    fleet = Array.from({ length: PROCESSES }, start)
    await eventually(() => workers().some(({ turns }) => turns.length >= 2), WITHIN)
    const [first] = workers() as [Member]
    expect(workers()).toHaveLength(1)
    first.child.kill('SIGKILL')
    const before = first.turns
    await eventually(() => others(first).some(({ turns }) => turns.length >= 2), WITHIN)
    const survivors = others(first).filter(({ turns }) => turns.length > 0)
    expect(survivors).toHaveLength(1)
    const spans = [...before, ...(survivors[0]?.turns ?? [])].sort((a, b) => a.from - b.from)
    for (const [index, span] of spans.entries()) expect(span.from).toBeGreaterThanOrEqual(spans[index - 1]?.to ?? 0)
  }, 90_000)

  it('gives turns of a stopped process to another one, which keeps them when the first wakes', async () => {
    fleet = Array.from({ length: PROCESSES }, start)
    await eventually(() => workers().some(({ turns }) => turns.length > 0), WITHIN)
    const [first] = workers() as [Member]
    first.child.kill('SIGSTOP')
    await eventually(() => others(first).some(({ turns }) => turns.length > 0), WITHIN)
    const second = others(first).find(({ turns }) => turns.length > 0)
    first.child.kill('SIGCONT')
    const known = second?.turns.length ?? 0
    // What it was at when it was stopped it ends; it begins nothing more.
    await eventually(() => (second?.turns.length ?? 0) >= known + 3, WITHIN)
    const woken = first.turns.length
    await eventually(() => (second?.turns.length ?? 0) >= known + 5, WITHIN)
    expect(first.turns.length).toBe(woken)
  }, 90_000)
})
