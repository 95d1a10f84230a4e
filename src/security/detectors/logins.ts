import type { Detector, DetectorSettings, Measure, Reading, SetMeasure, Signal } from './detector.js'
import { subscriber } from './network.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

export const failed = ({ type }: Signal): boolean => type === 'authn_login_fail'
export const succeeded = ({ type }: Signal): boolean => type === 'authn_login_success'

/** The same wrong secret again is a typing habit or a stale app, not a guess: it counts once. */
const attempt = ({ id, account = '', credential }: Signal): string =>
  credential === undefined ? id : `${account}${credential}`

const failsOf = (key: string, signal: Signal, window: number, threshold: number): SetMeasure => ({
  op: 'add',
  key,
  member: attempt(signal),
  window,
  cap: threshold * 4,
})

const pairKey = ({ account, ip, device }: Signal): string | undefined => {
  if (account === undefined) return undefined
  if (device !== undefined) return `fail:device:${account}:${device}`
  const network = subscriber(ip)
  return network === undefined ? undefined : `fail:pair:${account}:${network}`
}

/**
 * Many failures for one account from one address. A device that has logged in before has a counter of its own, so that
 * whoever knows the name cannot lock its owner out. (Auth0 `count_per_identifier_and_ip` 10; Vault and OpenBao 15 min.)
 */
export function bruteForcePair({ window, threshold, cooldown }: DetectorSettings): Detector {
  return {
    ...{ name: 'bruteForcePair', event: 'authn_login_fail_max', confidence: 'high', action: 'blockLogin' },
    ...{ window, threshold, cooldown },
    measure(signal) {
      const key = pairKey(signal)
      if (key === undefined) return []
      if (failed(signal)) return [failsOf(key, signal, window, threshold)]
      return succeeded(signal) ? [{ op: 'clear', key, window }] : []
    },
    judge(signal, [fails]) {
      if (!failed(signal) || fails === undefined || fails.count < threshold) return undefined
      const { account = '', device, ip } = signal
      return {
        count: fails.count,
        subject:
          device === undefined
            ? { kind: 'pair', account, network: subscriber(ip) ?? '' }
            : { kind: 'device', account, device },
      }
    },
  }
}

/** Accounts that log in from an address make it an office or a carrier: its threshold grows with them. */
const honest = (network: string): SetMeasure => ({ op: 'read', key: `ok:net:${network}`, window: DAY })
const allowance = (threshold: number, accounts: number): number => threshold * (1 + accounts / 4)

/**
 * Many failures from one address, whatever the account; known devices do not count. (CrowdSec http-generic-bf: capacity
 * 5, leak 10 s; rate-limiter-flexible: 100 a day.)
 */
export function bruteForceAddress(name: string, { window, threshold, cooldown }: DetectorSettings): Detector {
  return {
    ...{ name, event: 'authn_login_fail_max', confidence: 'medium', action: 'blockLogin' },
    ...{ window, threshold, cooldown },
    measure(signal) {
      const network = subscriber(signal.ip)
      if (network === undefined || signal.device !== undefined) return []
      return failed(signal) ? [failsOf(`fail:${name}:${network}`, signal, window, threshold * 10), honest(network)] : []
    },
    judge: (signal, [fails, known]) => judgeNetwork(signal, fails, known, threshold),
  }
}

function judgeNetwork(signal: Signal, fails: Reading | undefined, known: Reading | undefined, threshold: number) {
  const network = subscriber(signal.ip)
  if (fails === undefined || network === undefined) return undefined
  if (fails.count < allowance(threshold, known?.count ?? 0)) return undefined
  return { subject: { kind: 'network', network } as const, count: fails.count }
}

/**
 * Many failures for one account from anywhere. It slows log-ins of unknown devices down and never locks: a lock on an
 * account is in the hands of everybody who knows its name. (Keycloak 30 in 12 h; NIST 800-63B at most 100.)
 */
export function bruteForceAccount({ window, threshold, cooldown }: DetectorSettings): Detector {
  return {
    ...{ name: 'bruteForceAccount', event: 'authn_login_fail_max', confidence: 'medium', action: 'delay' },
    ...{ window, threshold, cooldown },
    measure(signal) {
      const { account, device } = signal
      if (account === undefined || device !== undefined || !failed(signal)) return []
      return [failsOf(`fail:account:${account}`, signal, window, threshold)]
    },
    judge({ account = '' }, [fails]) {
      if (fails === undefined || fails.count < threshold) return undefined
      return { subject: { kind: 'account', account }, count: fails.count }
    },
  }
}

/** One address tries many accounts a little each. (CrowdSec *-user-enum: distinct names, capacity 5.) */
export function passwordSpraying({ window, threshold, cooldown }: DetectorSettings): Detector {
  return {
    ...{ name: 'passwordSpraying', event: 'holdfast.detected', confidence: 'high', action: 'blockLogin' },
    ...{ window, threshold, cooldown },
    measure(signal) {
      const { account, device, ip } = signal
      const network = subscriber(ip)
      if (account === undefined || network === undefined || device !== undefined || !failed(signal)) return []
      return [
        { op: 'add', key: `spray:${network}`, member: account, window, cap: threshold * 40 },
        honest(network),
        { op: 'add', key: `spray:all:${network}`, member: signal.id, window, cap: threshold * 120 },
      ]
    },
    judge(signal, [accounts, known, fails]) {
      if (accounts === undefined || (fails?.count ?? 0) > accounts.count * 3) return undefined
      return judgeNetwork(signal, accounts, known, threshold)
    },
  }
}

/** As spraying, slow enough to stay under every window; a success from the address ends the suspicion. (CrowdSec ssh-time-based-bf.) */
export function slowSpraying({ window, threshold, cooldown }: DetectorSettings): Detector {
  const gap = 10 * MINUTE
  return {
    ...{ name: 'slowSpraying', event: 'holdfast.detected', confidence: 'medium', action: 'observe' },
    ...{ window, threshold, cooldown },
    measure(signal) {
      const { account, device, ip } = signal
      const network = subscriber(ip)
      if (account === undefined || network === undefined || device !== undefined) return []
      const key = `slow:${network}`
      if (succeeded(signal)) return [{ op: 'clear', key, window }]
      return failed(signal) ? [{ op: 'add', key, member: account, window, cap: threshold * 8, entries: true }] : []
    },
    judge(signal, [accounts]) {
      const network = subscriber(signal.ip)
      if (accounts === undefined || network === undefined || accounts.count < threshold || !failed(signal))
        return undefined
      return medianGap(accounts.entries.map(([, at]) => at)) > gap
        ? { subject: { kind: 'network', network }, count: accounts.count }
        : undefined
    },
  }
}

function medianGap(times: readonly number[]): number {
  const gaps = times.slice(1).map((at, index) => at - (times[index] as number))
  return gaps.toSorted((a, b) => a - b)[Math.floor((gaps.length - 1) / 2)] ?? 0
}

/** A guess that was right: failures for the account, then a success from a device that is not known. */
export function successAfterFailures({ window, threshold, cooldown }: DetectorSettings): Detector {
  return {
    ...{ name: 'successAfterFailures', event: 'authn_login_successafterfail', confidence: 'medium', action: 'stepUp' },
    ...{ window, threshold, cooldown },
    measure(signal): readonly Measure[] {
      const { account, device } = signal
      if (account === undefined || device !== undefined) return []
      const key = `guess:${account}`
      if (failed(signal)) return [failsOf(key, signal, window, threshold)]
      return succeeded(signal)
        ? [
            { op: 'read', key, window },
            { op: 'clear', key, window },
          ]
        : []
    },
    judge(signal, [fails]) {
      if (!succeeded(signal) || fails === undefined || fails.count < threshold) return undefined
      return { subject: { kind: 'account', account: signal.account ?? '' }, count: fails.count }
    },
  }
}

/** Not a detector of its own: remembers which accounts log in from where, for the thresholds above. */
export function honestAddresses(): Detector {
  return {
    ...{ name: 'honestAddresses', event: 'holdfast.detected', confidence: 'low', action: 'observe' },
    ...{ window: DAY, threshold: Number.POSITIVE_INFINITY, cooldown: DAY },
    measure(signal) {
      const network = subscriber(signal.ip)
      if (!succeeded(signal) || network === undefined || signal.account === undefined) return []
      return [{ op: 'add', key: `ok:net:${network}`, member: signal.account, window: DAY, cap: 200 }]
    },
    judge: () => undefined,
  }
}
