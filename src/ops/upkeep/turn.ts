import type { UpkeepProgress, UpkeepRun, UpkeepTask } from './task.js'

/** What a task may still do after its signal. Later it counts as hanging, and its turn as over. */
const GRACE_MS = 1000

/** Runs one turn within its budget. Never rejects. */
export async function runTurn(
  task: string,
  run: UpkeepTask['run'],
  budgetMs: number,
  stopped: AbortSignal,
): Promise<UpkeepRun & { readonly error?: unknown }> {
  const started = performance.now()
  const budget = new AbortController()
  const abort = (): void => budget.abort()
  const timer = setTimeout(abort, budgetMs)
  stopped.addEventListener('abort', abort)
  const { signal } = budget
  let overdue: NodeJS.Timeout | undefined
  const hangs = new Promise<typeof HANGS>((resolve) => {
    overdue = setTimeout(resolve, budgetMs + GRACE_MS, HANGS)
  })
  const ended = (outcome: UpkeepRun['outcome'], { done = 0, more = false }: UpkeepProgress = {}): UpkeepRun => ({
    task,
    outcome,
    durationMs: performance.now() - started,
    done,
    more,
  })
  try {
    const work = (async () => (await run({ signal, timeLeft: () => !signal.aborted })) ?? {})()
    // A rejection after the race is over must not go unhandled.
    work.catch(() => {})
    const progress = await Promise.race([work, hangs])
    return progress === HANGS ? ended('overrun') : ended('done', progress)
  } catch (error) {
    return { ...ended('failed'), error }
  } finally {
    clearTimeout(timer)
    clearTimeout(overdue)
    stopped.removeEventListener('abort', abort)
  }
}

const HANGS = Symbol('hangs')
