import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'

/** A process of its own that answers each message with one, and says `ready` first. */
export interface Worker {
  readonly ready: Promise<unknown>
  ask<Answer>(message: unknown): Promise<Answer>
  /** As a crash does. */
  kill(): Promise<void>
}

/** Runs a file of this folder. What is asked of a process that ends rejects. */
export function startWorker(file: string, args: readonly string[]): Worker {
  const child: ChildProcess = fork(join(__dirname, file), [...args], { execArgv: ['--import', 'tsx'] })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const next = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      child.once('message', resolve)
      void exited.then(() => reject(new Error(`${file} ended`)))
    })
  const ready = next()
  ready.catch(() => {})
  return {
    ready,
    async ask<Answer>(message: unknown) {
      const answer = next()
      child.send(message as string)
      return (await answer) as Answer
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
