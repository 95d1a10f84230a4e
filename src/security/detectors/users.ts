import type { Detector, DetectorSettings, Reading, Signal } from './detector.js'
import { succeeded } from './logins.js'
import { neighbourhood } from './network.js'

const DAY = 86_400_000
const HOUR = 3_600_000

const place = ({ agent, ip }: Signal): string => `${agent ?? ''}|${neighbourhood(ip) ?? ''}`
const who = ({ userId, account }: Signal): string | undefined => userId ?? account

function subjectOf(signal: Signal) {
  const { userId, account = '' } = signal
  return userId === undefined ? ({ kind: 'account', account } as const) : ({ kind: 'user', userId } as const)
}

/** The first log-in of a user with this browser in this network. A device that proves itself is not new. */
export function newDevice({ window, threshold, cooldown }: DetectorSettings): Detector {
  return {
    ...{ name: 'newDevice', event: 'holdfast.detected', confidence: 'low', action: 'observe' },
    ...{ window, threshold, cooldown },
    measure(signal) {
      const user = who(signal)
      if (!succeeded(signal) || user === undefined) return []
      return [{ op: 'add', key: `places:${user}`, member: place(signal), window, cap: 50 }]
    },
    judge(signal, [places]) {
      // Somebody's very first log-in says nothing.
      if (signal.device !== undefined || places === undefined || !places.added || places.count <= threshold)
        return undefined
      return { subject: subjectOf(signal), count: places.count }
    },
  }
}

/** Everything detectors remember under the id of a user. */
export function userCounters(userId: string): readonly string[] {
  const kinds = ['places', 'history', 'history:net', 'history:agent', 'travel', 'probing', 'reuse']
  return kinds.map((kind) => `${kind}:${userId}`)
}

export interface Position {
  readonly latitude: number
  readonly longitude: number
}

/** Where an address is. The package has no such data: bring your own. */
export type Geo = (ip: string) => Position | undefined

/** Two log-ins further apart than a flight. `threshold` is in km. (CrowdSec impossible-travel.) */
export function impossibleTravel({ window, threshold, cooldown }: DetectorSettings, geo: Geo | undefined): Detector {
  const locate = ({ ip }: Signal): Position | undefined => (ip === undefined ? undefined : geo?.(ip))
  return {
    ...{ name: 'impossibleTravel', event: 'authn_impossible_travel', confidence: 'medium', action: 'stepUp' },
    ...{ window, threshold, cooldown },
    measure(signal) {
      const user = who(signal)
      if (!succeeded(signal) || user === undefined) return []
      const at = locate(signal)
      if (at === undefined) return []
      const member = `${at.latitude.toFixed(2)},${at.longitude.toFixed(2)}`
      return [{ op: 'add', key: `travel:${user}`, member, window, cap: 10, entries: true }]
    },
    judge(signal, [visited]) {
      const here = locate(signal)
      if (visited === undefined || here === undefined) return undefined
      let furthest = 0
      for (const [member] of visited.entries) {
        const [latitude = 0, longitude = 0] = member.split(',').map(Number)
        furthest = Math.max(furthest, distance(here, { latitude, longitude }))
      }
      return furthest > threshold ? { subject: subjectOf(signal), count: Math.round(furthest) } : undefined
    },
  }
}

/** Great-circle distance in km. */
function distance(a: Position, b: Position): number {
  const rad = (degrees: number): number => (degrees * Math.PI) / 180
  const latitude = Math.sin(rad(b.latitude - a.latitude) / 2) ** 2
  const longitude = Math.sin(rad(b.longitude - a.longitude) / 2) ** 2
  return 12_742 * Math.asin(Math.sqrt(latitude + Math.cos(rad(a.latitude)) * Math.cos(rad(b.latitude)) * longitude))
}

const ENOUGH_HISTORY = 10

/**
 * A log-in unlike the user's own history of a month: hour of the day, network, device, rate. Two or more must be
 * unusual, and the finding says which. No model, nothing learnt from others.
 */
export function anomaly({ window, threshold, cooldown }: DetectorSettings): Detector {
  return {
    ...{ name: 'anomaly', event: 'holdfast.detected', confidence: 'low', action: 'observe' },
    ...{ window, threshold, cooldown },
    measure(signal) {
      const user = who(signal)
      if (!succeeded(signal) || user === undefined) return []
      const { agent = '', ip } = signal
      return [
        { op: 'add', key: `history:${user}`, member: signal.id, window, cap: 200, entries: true },
        { op: 'add', key: `history:net:${user}`, member: neighbourhood(ip) ?? '', window, cap: 50 },
        { op: 'add', key: `history:agent:${user}`, member: agent, window, cap: 50 },
      ]
    },
    judge(signal, [logins, networks, agents]) {
      if (logins === undefined || logins.count <= ENOUGH_HISTORY) return undefined
      const because = unusual(signal, logins, networks, agents)
      return because.length >= threshold ? { subject: subjectOf(signal), count: because.length, because } : undefined
    },
  }
}

function unusual(signal: Signal, logins: Reading, networks?: Reading, agents?: Reading): string[] {
  const because: string[] = []
  const before = logins.entries.filter(([member]) => member !== signal.id).map(([, at]) => at)
  const hour = hourOf(signal.at)
  const near = before.filter((at) => Math.min((hourOf(at) - hour + 24) % 24, (hour - hourOf(at) + 24) % 24) <= 2)
  if (near.length === 0) because.push(`never logged in around ${hour}:00 UTC`)
  if (networks?.added) because.push('a network not seen before')
  if (agents?.added && signal.device === undefined) because.push('a browser or system not seen before')
  const recent = before.filter((at) => signal.at - at < HOUR).length + 1
  if (recent > 3 + 3 * busiestHour(before.filter((at) => signal.at - at >= HOUR))) {
    because.push(`${recent} log-ins within an hour`)
  }
  return because
}

function hourOf(at: number): number {
  return Math.floor((at % DAY) / HOUR)
}

function busiestHour(times: readonly number[]): number {
  const counts = new Map<number, number>()
  let most = 0
  for (const at of times) {
    const bucket = Math.floor(at / HOUR)
    const count = (counts.get(bucket) ?? 0) + 1
    counts.set(bucket, count)
    most = Math.max(most, count)
  }
  return most
}
