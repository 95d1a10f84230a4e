import { type Duration, toMs } from '../../shared/duration.js'

/** What a check found; a check that throws, or takes too long, has failed. */
export interface Observation {
  readonly observedValue?: number | string
  readonly observedUnit?: string
}

export type CheckFunction = () => Observation | undefined | Promise<Observation | undefined>

/** A check of your own: a function, or a function with its conditions. */
export type HealthCheck =
  | CheckFunction
  | {
      readonly run: CheckFunction
      /** Failing makes the whole service fail (503) instead of warn. @default false */
      readonly critical?: boolean
      /** @default '100ms' */
      readonly timeout?: Duration
    }

export interface CheckResult extends Observation {
  readonly name: string
  readonly ok: boolean
  readonly critical: boolean
  /** For operators only: may hold host names. */
  readonly problem?: string
}

/** Runs one check within its time. Never rejects. */
export async function runCheck(name: string, check: HealthCheck): Promise<CheckResult> {
  const { run, critical = false, timeout = 100 } = typeof check === 'function' ? { run: check } : check
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const fail = (): void => reject(new Error(`no answer within ${toMs(timeout)} ms`))
    // After a blocked event loop timers run before the socket is read: the answer may be waiting there.
    timer = setTimeout(() => setImmediate(fail), toMs(timeout))
  })
  try {
    const observation = await Promise.race([Promise.resolve().then(run), late])
    return { name, ok: true, critical, ...observation }
  } catch (error) {
    return { name, ok: false, critical, problem: error instanceof Error ? error.message : String(error) }
  } finally {
    clearTimeout(timer)
  }
}
