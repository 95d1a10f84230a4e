import { BUCKETS } from './histogram.js'
import { Operation } from './operations.js'

/** `[ok, error, timeout, refused, sumMs, maxMs, bucket, count, bucket, count …]` */
export function encodeOperation({ ok, error, timeout, refused, times }: Operation): string {
  const cells: number[] = []
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const count = times.counts[bucket] as number
    if (count > 0) cells.push(bucket, count)
  }
  return JSON.stringify([ok, error, timeout, refused, round(times.sumMs), round(times.maxMs), ...cells])
}

/** `undefined` for bytes that are not ours. */
export function decodeOperation(text: string): Operation | undefined {
  const numbers = parse(text)
  if (numbers === undefined || numbers.length < 6 || numbers.length % 2 !== 0) return undefined
  const [ok, error, timeout, refused, sumMs, maxMs] = numbers as [number, number, number, number, number, number]
  const made = new Operation()
  Object.assign(made, { ok, error, timeout, refused })
  Object.assign(made.times, { sumMs, maxMs })
  for (let at = 6; at < numbers.length; at += 2) {
    const bucket = numbers[at] as number
    const count = numbers[at + 1] as number
    if (!Number.isInteger(bucket) || bucket >= BUCKETS) return undefined
    made.times.counts[bucket] = count
    made.times.count += count
  }
  return made
}

function parse(text: string): number[] | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (!Array.isArray(value)) return undefined
    return value.every((each) => typeof each === 'number' && each >= 0) ? value : undefined
  } catch {
    return undefined
  }
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
