import type { Duration } from '../../shared/duration.js'

/** One turn of a task. */
export interface UpkeepTurn {
  /** Aborts when the budget is used up or the upkeep is closed: stop at the next safe point. */
  readonly signal: AbortSignal
  /** True while there is time left: ask between steps. */
  timeLeft(): boolean
}

/** What a turn got done. */
export interface UpkeepProgress {
  /** How many things were cleaned, written, warmed … */
  readonly done?: number | undefined
  /** True where work is left: the next turn comes soon instead of after `every`. */
  readonly more?: boolean | undefined
}

export interface UpkeepTask {
  readonly run: (turn: UpkeepTurn) => Promise<UpkeepProgress | undefined> | Promise<void> | UpkeepProgress | undefined
  /** From turn to turn; jittered. @default '1m' */
  readonly every?: Duration | undefined
  /** Most time for one turn. @default '5s' */
  readonly budget?: Duration | undefined
  /** `fleet`: one process at a time, and only while Redis answers. `process`: each process. @default 'fleet' */
  readonly scope?: 'fleet' | 'process' | undefined
}

/** How one turn ended. `overrun`: it went on after its budget. */
export interface UpkeepRun {
  readonly task: string
  readonly outcome: 'done' | 'failed' | 'overrun'
  readonly durationMs: number
  readonly done: number
  readonly more: boolean
}
