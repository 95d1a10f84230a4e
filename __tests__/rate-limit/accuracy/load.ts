import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { mostInAnyWindow } from '../windows.js'

export interface Scenario {
  readonly name: string
  readonly limit: number
  readonly windowMs: number
  readonly cost: 1 | 3 | 'mixed'
  readonly algorithm?: 'sliding' | 'fixed' | 'gcra'
  /** `sawtooth`: calls in flight grow to all of them and fall to none, over and over. */
  readonly shape?: 'steady' | 'sawtooth'
}

export interface Load {
  readonly url: string
  readonly scenarios: readonly Scenario[]
  readonly durationMs: number
  readonly inFlight: number
  readonly remembered: number
  /** By how much each process's clock is wrong, in ms; those without one are right. */
  readonly skews?: readonly number[]
}

/** What one process is told. */
export interface Task extends Load {
  readonly skew: number
}

/**
 * What one process saw of one scenario. `admitted` holds moment (Redis' ms) and points in turn, `refused` the moments
 * of refusals and the lowest cost refused then.
 */
export interface Report {
  readonly admitted: number[]
  readonly refused: number[]
  undecided: number
  decisions: number
}

export interface Outcome {
  /** Most points admitted in any window. */
  readonly most: number
  /** Refusals that what was admitted in the window, and a hundredth of it before, does not explain. */
  readonly unjust: number
  /** Admitted points as a part of those a window of exactly this length could have let through. */
  readonly efficiency: number
  readonly decisions: number
  readonly undecided: number
  readonly windows: number
}

interface Admission {
  readonly at: number
  readonly points: number
}

const WORKER = join(__dirname, 'worker.ts')

/** Runs the same scenarios in several processes at a time, each with `inFlight` calls on each key. */
export async function hammer(processes: number, load: Load): Promise<Outcome[]> {
  const children: ChildProcess[] = []
  try {
    for (let i = 0; i < processes; i++) {
      children.push(fork(WORKER, { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }))
    }
    await Promise.all(children.map((child) => once(child, 'message')))
    const answers = children.map((child) => once(child, 'message'))
    for (const [index, child] of children.entries()) child.send({ ...load, skew: load.skews?.[index] ?? 0 })
    const reports = (await Promise.all(answers)).map(([reports]) => reports as Report[])
    return load.scenarios.map((scenario, index) =>
      outcomeOf(
        scenario,
        reports.map((each) => each[index] as Report),
      ),
    )
  } finally {
    for (const child of children) if (child.connected) child.kill()
  }
}

function outcomeOf({ limit, windowMs, cost }: Scenario, reports: readonly Report[]): Outcome {
  const admitted: Admission[] = []
  const refused: Admission[] = []
  for (const report of reports) {
    for (let i = 0; i < report.admitted.length; i += 2) {
      admitted.push({ at: report.admitted[i] as number, points: report.admitted[i + 1] as number })
    }
  }
  for (const report of reports) {
    for (let i = 0; i < report.refused.length; i += 2) {
      refused.push({ at: report.refused[i] as number, points: report.refused[i + 1] as number })
    }
  }
  admitted.sort((a, b) => a.at - b.at)
  const points = admitted.flatMap((each) => new Array<number>(each.points).fill(each.at))
  const possible = cost === 3 ? Math.floor(limit / 3) * 3 : limit
  const last = admitted.at(-1)?.at ?? 0
  return {
    most: mostInAnyWindow(admitted, windowMs),
    unjust: unjustRefusals(admitted, refused, limit, windowMs),
    efficiency: windowMs / meanGap(points, possible),
    decisions: reports.reduce((sum, each) => sum + each.decisions, 0),
    undecided: reports.reduce((sum, each) => sum + each.undecided, 0),
    windows: (last - (admitted[0]?.at ?? 0)) / windowMs,
  }
}

/** Mean time from a point to the one that could have taken its place. */
function meanGap(points: readonly number[], limit: number): number {
  let sum = 0
  let count = 0
  for (let i = limit; i < points.length; i++) {
    sum += (points[i] as number) - (points[i - limit] as number)
    count++
  }
  return count === 0 ? Number.POSITIVE_INFINITY : sum / count
}

function unjustRefusals(
  admitted: readonly Admission[],
  refused: readonly Admission[],
  limit: number,
  windowMs: number,
): number {
  const late = windowMs + (limit > 100 ? Math.ceil(windowMs / 100) : 1)
  const sums = [0]
  for (const { points } of admitted) sums.push((sums.at(-1) as number) + points)
  /** Points admitted before a moment. */
  const before = (moment: number): number => {
    let [low, high] = [0, admitted.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((admitted[middle]?.at as number) < moment) low = middle + 1
      else high = middle
    }
    return sums[low] as number
  }
  return refused.filter(({ at, points }) => before(at + 1) - before(at - late) + points <= limit).length
}
