import { describe, expect, it } from '@jest/globals'
import { hammer, type Outcome, type Scenario } from './accuracy/load.js'
import { aNewName, useRedis } from './support.js'

const world = useRedis()
const FULL = process.env.HOLDFAST_TEST_FULL === '1'

type Row = Omit<Scenario, 'name'>

/** Holds on a machine as busy as it likes: it compares moments of Redis' clock with each other. */
function demand({ limit, windowMs, cost }: Row, { most, unjust, undecided, windows, decisions }: Outcome): void {
  expect(undecided).toBe(0)
  expect(windows * windowMs).toBeGreaterThan(windowMs + 100)
  expect(most).toBeLessThanOrEqual(limit)
  // Asked for three times as often as it allows, a limit is reached.
  if (decisions > 3 * limit * windows) expect(most).toBe(cost === 3 ? Math.floor(limit / 3) * 3 : limit)
  expect(unjust).toBe(0)
}

interface Circumstances {
  readonly remembered?: number
  readonly skews?: readonly number[]
}

async function run(
  processes: number,
  rows: readonly Row[],
  durationMs: number,
  { remembered = 0, skews = [] }: Circumstances = {},
): Promise<Outcome[]> {
  const scenarios = rows.map((row) => ({ ...row, name: aNewName() }))
  const load = { url: world.server.url, scenarios, durationMs, inFlight: 32, remembered, skews }
  const outcomes = await hammer(processes, load)
  if (FULL) for (const [index, row] of rows.entries()) print(processes, row, outcomes[index] as Outcome)
  return outcomes
}

function print(processes: number, { limit, windowMs, cost }: Row, { most, efficiency, decisions }: Outcome): void {
  const parts = [processes, limit, windowMs, cost, most, efficiency.toFixed(3), decisions]
  process.stdout.write(`| ${parts.join(' | ')} |\n`)
}

describe('across processes, 32 calls in flight each', () => {
  const rows: Row[] = [
    { limit: 7, windowMs: 200, cost: 1 },
    { limit: 100, windowMs: 1000, cost: 1 },
    { limit: 101, windowMs: 500, cost: 'mixed' },
    { limit: 3000, windowMs: 1000, cost: 3 },
  ]

  it('every limit is reached in some window and exceeded in none, and nobody is refused without reason', async () => {
    const outcomes = await run(4, rows, 3500)
    for (const [index, row] of rows.entries()) demand(row, outcomes[index] as Outcome)
  })

  it('also where each process remembers refusals', async () => {
    const outcomes = await run(2, rows.slice(0, 3), 2500, { remembered: 10_000 })
    for (const [index, row] of rows.slice(0, 3).entries()) demand(row, outcomes[index] as Outcome)
  })

  it('also where the clocks of the processes disagree, by seconds and by days', async () => {
    const skews = [-5000, 5000, -86_400_000, 0]
    for (const remembered of [0, 10_000]) {
      const outcomes = await run(4, rows.slice(0, 2), 2500, { remembered, skews })
      for (const [index, row] of rows.slice(0, 2).entries()) demand(row, outcomes[index] as Outcome)
    }
  })

  it('also under a load that swells and falls to nothing', async () => {
    const teeth = rows.slice(0, 3).map((row) => ({ ...row, shape: 'sawtooth' as const }))
    const outcomes = await run(4, teeth, 3500)
    for (const [index, row] of teeth.entries()) demand(row, outcomes[index] as Outcome)
  })

  it('and the measure sees what a fixed window and GCRA let through', async () => {
    const others = (['fixed', 'gcra'] as const).map((algorithm) => ({ ...(rows[1] as Row), algorithm }))
    const outcomes = await run(2, others, 2500)
    for (const { most } of outcomes) expect(most).toBeGreaterThan(110)
  })
})

const LIMITS = [1, 7, 100, 101, 5000]
const COSTS = [1, 3, 'mixed'] as const
const rowsOf = (windowMs: number): Row[] =>
  LIMITS.flatMap((limit) => COSTS.map((cost) => ({ limit, windowMs, cost }))).filter(
    ({ limit, cost }) => limit >= (cost === 'mixed' ? 7 : cost),
  )

;(FULL ? describe : describe.skip)('the full matrix', () => {
  for (const processes of [2, 4, 8]) {
    for (const windowMs of [200, 1000]) {
      it.each(rowsOf(windowMs))(`${processes} processes: %p`, async (row) => {
        const [outcome] = await run(processes, [row], windowMs === 200 ? 2500 : 4000)
        demand(row, outcome as Outcome)
      })
    }
    it(`${processes} processes: every limit and cost in 10 s, side by side`, async () => {
      const rows = rowsOf(10_000)
      const outcomes = await run(processes, rows, 32_000)
      for (const [index, row] of rows.entries()) demand(row, outcomes[index] as Outcome)
    }, 90_000)
  }
})
