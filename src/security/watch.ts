import type { RedisManager } from '../redis/index.js'
import type { Asked, Counters } from './counters.js'
import type { Detector, Finding, Reading, Signal, Subject } from './detectors/detector.js'

export interface Found {
  readonly detector: Detector
  readonly signal: Signal
  readonly finding: Finding
}

export interface WatchOptions {
  readonly redis: RedisManager
  readonly counters: Counters
  readonly detectors: readonly Detector[]
  /** Asked before anything is counted. */
  readonly allowed: (signal: Signal) => boolean
  readonly onFound: (found: Found) => void
}

/** Runs the detectors over signals, in batches and away from any request. */
export interface Watch {
  push(signal: Signal): void
  /** Resolves once every signal pushed before has been judged. */
  idle(): Promise<void>
  readonly dropped: number
  close(): void
}

const MAX_WAITING = 10_000
/** Measures per round trip: each is up to five commands on a connection that requests wait for, too. */
const BATCH_MEASURES = 60
const MAX_COOLDOWNS = 10_000

export function createWatch({ redis, counters, detectors, allowed, onFound }: WatchOptions): Watch {
  const cooldowns = new Map<string, number>()
  let waiting: Signal[] = []
  let running: Promise<void> | undefined
  let dropped = 0
  let closed = false

  async function run(): Promise<void> {
    // Signals of one tick, and all that arrive during a round trip, share the next one.
    await new Promise<void>((resolve) => {
      setImmediate(resolve)
    })
    while (waiting.length > 0 && !closed) {
      const started = performance.now()
      try {
        await judge()
      } catch (error) {
        redis.warn('HOLDFAST_SECURITY_DETECTOR', `a detector threw: ${String((error as Error)?.name)}`)
      }
      // Under a flood detectors take half of what Redis could give them, and leave the rest to requests.
      const took = performance.now() - started
      if (waiting.length > 0 && took > 1) await pause(took)
    }
  }

  async function judge(): Promise<void> {
    const asked: Asked[] = []
    const questions: { detector: Detector; signal: Signal; from: number; to: number }[] = []
    let taken = 0
    while (taken < waiting.length && asked.length < BATCH_MEASURES) {
      const signal = waiting[taken++] as Signal
      for (const detector of detectors) {
        const measures = safely(detector, () => detector.measure(signal)) ?? []
        if (measures.length === 0) continue
        const from = asked.length
        for (const measure of measures) asked.push({ measure, at: signal.at })
        questions.push({ detector, signal, from, to: asked.length })
      }
    }
    waiting = waiting.slice(taken)
    if (asked.length === 0) return
    const readings = await counters.apply(asked)
    for (const { detector, signal, from, to } of questions) report(detector, signal, readings.slice(from, to))
  }

  function report(detector: Detector, signal: Signal, readings: readonly Reading[]): void {
    const finding = safely(detector, () => detector.judge(signal, readings))
    if (finding === undefined) return
    const key = `${detector.name}|${subjectKey(finding.subject)}`
    if ((cooldowns.get(key) ?? Number.NEGATIVE_INFINITY) > signal.at) return
    cooldowns.delete(key)
    cooldowns.set(key, signal.at + detector.cooldown)
    if (cooldowns.size > MAX_COOLDOWNS) {
      const [oldest] = cooldowns.keys()
      if (oldest !== undefined) cooldowns.delete(oldest)
    }
    safely(detector, () => onFound({ detector, signal, finding }))
  }

  function safely<T>(detector: Detector, run: () => T): T | undefined {
    try {
      return run()
    } catch (error) {
      redis.warn(
        `HOLDFAST_SECURITY_DETECTOR:${detector.name}`,
        `the detector ${detector.name} threw: ${String((error as Error)?.name)}`,
      )
      return undefined
    }
  }

  return {
    get dropped() {
      return dropped
    },
    push(signal) {
      if (closed || !allow(signal)) return
      if (waiting.length >= MAX_WAITING) {
        if (dropped++ === 0) {
          redis.warn('HOLDFAST_SECURITY_SIGNALS', 'detectors cannot keep up; events are recorded, some are not judged')
        }
        return
      }
      waiting.push(signal)
      running ??= run().finally(() => {
        running = undefined
      })
    },
    async idle() {
      while (running !== undefined) await running
    },
    close() {
      closed = true
      waiting = []
    },
  }

  function allow(signal: Signal): boolean {
    try {
      return !allowed(signal)
    } catch {
      return true
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

/** Names a subject, for maps and keys. */
export function subjectKey(subject: Subject): string {
  switch (subject.kind) {
    case 'pair':
      return `pair|${subject.account}|${subject.network}`
    case 'device':
      return `device|${subject.account}|${subject.device}`
    case 'account':
      return `account|${subject.account}`
    case 'network':
      return `network|${subject.network}`
    case 'user':
      return `user|${subject.userId}`
    case 'session':
      return `session|${subject.session}`
    case 'site':
      return 'site'
  }
}
