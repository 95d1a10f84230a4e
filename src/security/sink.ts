import type { SecurityEvent } from './event.js'

/** Receives every event in the moment it is recorded, as data and as one line of JSON. */
export type SecuritySink = (event: SecurityEvent, json: string) => void

/** Anything with pino's level methods. */
export interface PinoLike {
  info(event: object, message: string): void
  warn(event: object, message: string): void
  error(event: object, message: string): void
}

/** `'console'`: JSON lines on standard output. */
export type SinkOption = 'console' | PinoLike | SecuritySink

export function sinkOf(option: SinkOption): SecuritySink {
  if (option === 'console') return (_event, json) => void process.stdout.write(`${json}\n`)
  if (typeof option === 'function') return option
  return (event) => {
    const method = event.level === 'critical' ? 'error' : event.level
    option[method]({ security: event }, event.event)
  }
}

export function isSinkOption(value: unknown): value is SinkOption {
  if (value === 'console' || typeof value === 'function') return true
  return ['info', 'warn', 'error'].every(
    (name) => typeof (value as Record<string, unknown> | null)?.[name] === 'function',
  )
}
