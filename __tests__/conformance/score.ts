export interface ConformanceTest {
  readonly suite: string
  readonly id: string
  readonly kind: 'required' | 'optimal' | 'check'
  readonly dependsOn: readonly string[]
}

/** `true`, or what went wrong: `Setup` where the test could not even begin. */
export type Results = Readonly<Record<string, true | readonly [kind: string, message: string]>>

export interface Score {
  readonly passed: number
  readonly of: number
}

export interface Scores {
  /** The test and everything it depends on passed: what the project's site shows. */
  readonly required: Score
  readonly requiredRaw: Score
  readonly optimal: Score
  readonly requiredAndOptimalRaw: Score
  readonly allRaw: Score
}

/** Whether a test passed, and with it the tests without which its result means nothing. */
function passes(tests: readonly ConformanceTest[], results: Results, id: string): boolean {
  const test = tests.find((each) => each.id === id)
  return results[id] === true && (test?.dependsOn ?? []).every((each) => passes(tests, results, each))
}

export function scores(tests: readonly ConformanceTest[], results: Results): Scores {
  const raw = (list: readonly ConformanceTest[]): Score => ({
    passed: list.filter(({ id }) => results[id] === true).length,
    of: list.length,
  })
  const honoured = (list: readonly ConformanceTest[]): Score => ({
    passed: list.filter(({ id }) => passes(tests, results, id)).length,
    of: list.length,
  })
  const required = tests.filter(({ kind }) => kind === 'required')
  const optimal = tests.filter(({ kind }) => kind === 'optimal')
  return {
    required: honoured(required),
    requiredRaw: raw(required),
    optimal: honoured(optimal),
    requiredAndOptimalRaw: raw([...required, ...optimal]),
    allRaw: raw(tests),
  }
}
