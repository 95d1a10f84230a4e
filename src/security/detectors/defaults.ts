import type { Detector, DetectorSettings } from './detector.js'
import * as logins from './logins.js'
import * as requests from './requests.js'
import * as sessions from './sessions.js'
import { credentialStuffing } from './stuffing.js'
import { anomaly, type Geo, impossibleTravel, newDevice } from './users.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const of = (threshold: number, window: number, cooldown: number): DetectorSettings => ({ threshold, window, cooldown })

export type DetectorName =
  | 'bruteForcePair'
  | 'bruteForceAddress'
  | 'bruteForceAddressSlow'
  | 'bruteForceAccount'
  | 'passwordSpraying'
  | 'slowSpraying'
  | 'credentialStuffing'
  | 'successAfterFailures'
  | 'sessionHijack'
  | 'sessionGuessing'
  | 'tokenReuse'
  | 'pathScanning'
  | 'sensitivePaths'
  | 'honeypot'
  | 'privilegeProbing'
  | 'newDevice'
  | 'impossibleTravel'
  | 'excessUse'
  | 'anomaly'

/** Threshold, window and cooldown of every built-in detector; sources in docs/security.md. */
export const DETECTOR_DEFAULTS: Readonly<Record<DetectorName, DetectorSettings>> = {
  bruteForcePair: of(10, 15 * MINUTE, 15 * MINUTE),
  bruteForceAddress: of(10, MINUTE, 15 * MINUTE),
  bruteForceAddressSlow: of(100, DAY, DAY),
  bruteForceAccount: of(30, 12 * HOUR, 15 * MINUTE),
  passwordSpraying: of(5, 10 * MINUTE, HOUR),
  slowSpraying: of(4, 2 * HOUR, 2 * HOUR),
  credentialStuffing: of(50, 5 * MINUTE, 15 * MINUTE),
  successAfterFailures: of(5, HOUR, HOUR),
  sessionHijack: of(3, 30 * MINUTE, 30 * MINUTE),
  sessionGuessing: of(10, 5 * MINUTE, 15 * MINUTE),
  tokenReuse: of(1, HOUR, MINUTE),
  pathScanning: of(10, MINUTE, 15 * MINUTE),
  sensitivePaths: of(3, MINUTE, 15 * MINUTE),
  honeypot: of(1, MINUTE, 15 * MINUTE),
  privilegeProbing: of(3, 5 * MINUTE, 15 * MINUTE),
  newDevice: of(1, 90 * DAY, DAY),
  impossibleTravel: of(1000, 3 * HOUR, 3 * HOUR),
  excessUse: of(5, 10 * MINUTE, 30 * MINUTE),
  anomaly: of(2, 30 * DAY, DAY),
}

const MAKERS: { readonly [Name in DetectorName]: (settings: DetectorSettings, geo: Geo | undefined) => Detector } = {
  bruteForcePair: logins.bruteForcePair,
  bruteForceAddress: (settings) => logins.bruteForceAddress('bruteForceAddress', settings),
  bruteForceAddressSlow: (settings) => logins.bruteForceAddress('bruteForceAddressSlow', settings),
  bruteForceAccount: logins.bruteForceAccount,
  passwordSpraying: logins.passwordSpraying,
  slowSpraying: logins.slowSpraying,
  credentialStuffing,
  successAfterFailures: logins.successAfterFailures,
  sessionHijack: sessions.sessionHijack,
  sessionGuessing: sessions.sessionGuessing,
  tokenReuse: sessions.tokenReuse,
  pathScanning: requests.pathScanning,
  sensitivePaths: requests.sensitivePaths,
  honeypot: requests.honeypot,
  privilegeProbing: requests.privilegeProbing,
  newDevice,
  impossibleTravel,
  excessUse: requests.excessUse,
  anomaly,
}

export interface DetectorChoices {
  readonly settings: { readonly [Name in DetectorName]?: Partial<DetectorSettings> | false }
  readonly own: readonly Detector[]
  readonly geo: Geo | undefined
}

/** The detectors that run: the built-in ones, unless turned off, and the application's. */
export function chosenDetectors({ settings, own, geo }: DetectorChoices): readonly Detector[] {
  const names = Object.keys(MAKERS) as DetectorName[]
  const builtIn = names.flatMap((name) => {
    const chosen = settings[name]
    if (chosen === false || (name === 'impossibleTravel' && geo === undefined)) return []
    return [MAKERS[name]({ ...DETECTOR_DEFAULTS[name], ...chosen }, geo)]
  })
  // Thresholds are asked for before this log-in makes its address a little more honest.
  return [...builtIn, ...own, logins.honestAddresses()]
}
