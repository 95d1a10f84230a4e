import { subscriber } from './detectors/network.js'
import type { Guard } from './guard.js'
import { pairOf } from './guard.js'

/** What becomes of a log-in attempt before its password is looked at. */
export type LoginVerdict =
  | { readonly verdict: 'proceed'; readonly stepUp: boolean }
  | { readonly verdict: 'delay'; readonly ms: number; readonly stepUp: boolean }
  | { readonly verdict: 'refuse'; readonly retryAfterMs: number }

export interface LoginAttempt {
  readonly account: string
  readonly ip: string | undefined
  /** A device that has logged in to this account before. */
  readonly device: string | undefined
}

const FIRST_DELAY = 1000
const MAX_DELAY = 8000

/**
 * A known device answers for itself alone: whatever strangers do to the account, to its address or to the site, its
 * owner gets in. A stranger is refused for the pair of account and address, or for the address; never for the account.
 */
export function judgeLogin(
  guard: Pick<Guard, 'find'>,
  { account, ip, device }: LoginAttempt,
  now: number,
): LoginVerdict {
  if (device !== undefined) {
    const own = guard.find({ kind: 'device', account, device }, 'blockLogin')
    return own === undefined
      ? { verdict: 'proceed', stepUp: false }
      : { verdict: 'refuse', retryAfterMs: own.until - now }
  }
  const network = subscriber(ip)
  const refusal =
    guard.find(pairOf(account, ip), 'blockLogin') ??
    (network === undefined ? undefined : guard.find({ kind: 'network', network }, 'blockLogin'))
  if (refusal !== undefined) return { verdict: 'refuse', retryAfterMs: refusal.until - now }
  const slow = guard.find({ kind: 'account', account }, 'delay')
  const stepUp =
    (guard.find({ kind: 'account', account }, 'stepUp') ?? guard.find({ kind: 'site' }, 'stepUp')) !== undefined
  if (slow === undefined) return { verdict: 'proceed', stepUp }
  return { verdict: 'delay', ms: Math.min(FIRST_DELAY * 2 ** (slow.strikes - 1), MAX_DELAY), stepUp }
}
