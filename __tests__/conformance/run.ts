import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { ConformanceTest, Results } from './score.js'

export interface RunOptions {
  readonly redis: string
  /** Of the response cache, besides the manager. */
  readonly options?: object
  /** Processes that share the requests in turn. @default 1 */
  readonly processes?: number
  /** Ids of suites. @default all */
  readonly only?: readonly string[] | undefined
  readonly env?: NodeJS.ProcessEnv
  /** Called once the tests are running. */
  readonly meanwhile?: () => Promise<void>
}

export interface Run {
  readonly tests: readonly ConformanceTest[]
  readonly results: Results
}

/** Runs the tests of the `http-cache-tests` package through an application in processes of its own. */
export async function runConformance(run: RunOptions): Promise<Run> {
  const children: ChildProcess[] = []
  const start = (script: string, args: readonly string[] = []): ChildProcess => {
    const env = { ...process.env, ...run.env }
    const child = fork(join(__dirname, script), args, { execArgv: ['--import', 'tsx'], env })
    children.push(child)
    return child
  }
  try {
    const suite = start('suite-process.ts')
    const [{ port }] = (await once(suite, 'message')) as [{ port: number }]
    const args = [run.redis, String(port), JSON.stringify(run.options ?? {})]
    const apps = Array.from({ length: run.processes ?? 1 }, () => start('app-process.ts', args))
    const ports = await Promise.all(apps.map(async (app) => (await once(app, 'message'))[0] as number))
    const ended = Promise.race([
      once(suite, 'message'),
      once(suite, 'exit').then(([code]) => Promise.reject(new Error(`the tests ended with code ${code}`))),
    ])
    suite.send({ bases: ports.map((each) => `http://127.0.0.1:${each}`), only: run.only })
    await run.meanwhile?.()
    return (await ended)[0] as Run
  } finally {
    for (const child of children) if (child.connected) child.disconnect()
  }
}
