import { describe, expect, it, jest } from '@jest/globals'
import { type PendingWrite, PendingWrites } from '../../src/session/pending.js'
import { Tombstones } from '../../src/session/tombstones.js'

const change = (text: string, base = '{}') => ({ base: { json: base, version: 1 }, json: text, idle: 1000 })

describe('writes that wait', () => {
  it('are one per session: what each changed, the newest where both did, on the oldest base', () => {
    const writes = new PendingWrites(() => {})
    writes.add('a', 'id', 'ref', change('{"old":1,"one":1,"both":1}', '{"old":1}'))
    writes.add('a', 'id', 'ref', change('{"two":2,"both":2}', '{"old":1}'))
    expect(writes.size).toBe(1)
    const { json = '', base } = writes.take('a') ?? {}
    expect(JSON.parse(json)).toEqual({ one: 1, two: 2, both: 2 })
    expect(base?.json).toBe('{"old":1}')
    expect(writes.take('a')).toBeUndefined()
  })

  it('that could not be made wait on as long as they would have, behind what came meanwhile', () => {
    const dropped: string[] = []
    const writes = new PendingWrites((_, reason) => void dropped.push(reason))
    writes.add('a', 'id', 'ref', change('{"one":1,"both":1}'))
    const taken = writes.take('a') as PendingWrite
    writes.add('a', 'id', 'ref', change('{"two":2,"both":2}'))
    writes.putBack('a', taken)
    expect(JSON.parse(writes.take('a')?.json ?? '')).toEqual({ one: 1, two: 2, both: 2 })
    writes.putBack('a', { ...taken, expiresAt: Date.now() - 1 })
    expect(writes.take('a')).toBeUndefined()
    expect(dropped).toEqual(['expired'])
  })

  it('are at most 1000, the oldest dropped and told', () => {
    const dropped: string[] = []
    const writes = new PendingWrites((session, reason) => void dropped.push(`${session} ${reason}`))
    for (let i = 0; i < 1003; i++) writes.add(`h${i}`, 'id', `s${i}`, change('{}'))
    expect(writes.size).toBe(1000)
    expect(dropped).toEqual(['s0 overflow', 's1 overflow', 's2 overflow'])
  })

  it('are at most 8 MiB, the oldest dropped and told', () => {
    const dropped: string[] = []
    const writes = new PendingWrites((session) => void dropped.push(session))
    for (let i = 0; i < 10; i++) writes.add(`h${i}`, 'id', `s${i}`, change('x'.repeat(1024 * 1024)))
    expect(dropped).toEqual(['s0', 's1', 's2'])
  })

  it('are kept for five minutes', () => {
    const dropped: string[] = []
    const writes = new PendingWrites((_, reason) => void dropped.push(reason))
    const now = jest.spyOn(Date, 'now')
    now.mockReturnValue(0)
    writes.add('a', 'id', 'ref', change('{}'))
    writes.add('b', 'id', 'ref', change('{}'))
    now.mockReturnValue(299_999)
    expect(writes.take('a')).toBeDefined()
    now.mockReturnValue(300_001)
    expect(writes.take('b')).toBeUndefined()
    now.mockRestore()
    expect(dropped).toEqual(['expired'])
  })
})

describe('tombstones', () => {
  const stone = (name: string, apply = () => Promise.resolve(true)) => ({ name, expiresAt: Date.now() + 60_000, apply })

  it('are never dropped: above 10,000 the next is refused', () => {
    const tombstones = new Tombstones()
    for (let i = 0; i < 10_000; i++) expect(tombstones.add(stone(`h${i}`))).toBe(true)
    expect(tombstones.add(stone('one more'))).toBe(false)
    expect(tombstones.add(stone('h5'))).toBe(true)
    expect(tombstones.has('h0')).toBe(true)
  })

  it('stay until Redis takes them', async () => {
    const tombstones = new Tombstones()
    let takes = false
    tombstones.add(stone('a', () => Promise.resolve(takes)))
    expect(await tombstones.replay()).toBe(false)
    expect(tombstones.has('a')).toBe(true)
    takes = true
    expect(await tombstones.replay()).toBe(true)
    expect(tombstones.has('a')).toBe(false)
  })
})
