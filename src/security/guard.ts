import type { RedisManager } from '../redis/index.js'
import { addressMatcher } from '../shared/address.js'
import { type Duration, toMs } from '../shared/duration.js'
import { ConfigurationError } from '../shared/errors.js'
import { agentFamily } from './agent.js'
import { createAlerts, type SecurityAlert } from './alerts.js'
import { chosenDetectors, type DetectorName } from './detectors/defaults.js'
import type { Detector, DetectorSettings, Signal, Subject } from './detectors/detector.js'
import { subscriber } from './detectors/network.js'
import type { Geo } from './detectors/users.js'
import { accountDigest, type Digest } from './digest.js'
import type { KnownDigests, SecurityEvent, SecurityEventDetails } from './event.js'
import { createRedisCounters } from './redis-counters.js'
import { createRestrictions, type Restriction, unrestricted } from './restrictions.js'
import { createWatch, type Found, subjectKey } from './watch.js'
import type { WebhookOptions } from './webhook.js'

/** Changes to a built-in detector; durations as everywhere. */
export interface DetectorOverride {
  readonly threshold?: number | undefined
  readonly window?: Duration | undefined
  readonly cooldown?: Duration | undefined
}

/** Whose sessions should end. */
export interface Revocation {
  readonly userId?: string | undefined
  /** Keyed digest of the session id. */
  readonly session?: string | undefined
  readonly detector: string
}

export interface GuardOptions {
  /** `false` for none, or changes by name: `{ bruteForcePair: { threshold: 5 }, newDevice: false }`. @default all */
  readonly detectors?: false | { readonly [Name in DetectorName]?: DetectorOverride | false } | undefined
  /** Detectors of your own. */
  readonly ownDetectors?: readonly Detector[] | undefined
  /** Names of the detectors whose action is carried out. All others only record and alert. @default none */
  readonly enforce?: readonly string[] | undefined
  /** Addresses, networks, or a test: never counted, never refused. @default none */
  readonly allow?: readonly string[] | ((signal: Signal) => boolean) | undefined
  /** Paths that nothing links to; a request for one is an attack. @default none */
  readonly honeypots?: readonly string[] | undefined
  /** Where an address is, for `impossibleTravel`. @default none, and the detector is off */
  readonly geo?: Geo | undefined
  /** Called for every alert, away from any request, for at most 5 s. */
  readonly onAlert?: ((alert: SecurityAlert) => unknown) | undefined
  /** Receives every alert as a signed POST. */
  readonly webhook?: WebhookOptions | undefined
  /** Called where `revoke` is enforced: end these sessions. */
  readonly onRevoke?: ((revocation: Revocation) => unknown) | undefined
  /** First restriction of a subject; each further one within a day lasts twice as long. @default '15m' */
  readonly blockFor?: Duration | undefined
  /** Longest restriction. @default '24h' */
  readonly maxBlock?: Duration | undefined
  /** Most counters a process keeps alive in Redis. @default 50000 */
  readonly maxCounters?: number | undefined
}

/** What the log does not keep but detectors use. */
export interface SignalExtras {
  readonly device?: string | undefined
  readonly credential?: string | undefined
}

export interface Guard {
  /** A recorded event. */
  seen(event: SecurityEvent, at: number, extras: SignalExtras): void
  /** A finished request. */
  request(signal: Omit<Signal, 'type' | 'at' | 'id'>): void
  find(subject: Subject, action: Restriction['action']): Restriction | undefined
  allowed(ip: string | undefined): boolean
  isHoneypot(path: string): boolean
  lift(subject: Subject): Promise<boolean>
  restrictions(): ReadonlyMap<string, Restriction>
  idle(): Promise<void>
  close(): void
}

export interface GuardContext {
  readonly owner: string
  readonly redis: RedisManager
  readonly now: () => number
  readonly id: () => string
  readonly digest: Digest
  readonly record: (
    type: string,
    details: SecurityEventDetails,
    known: KnownDigests & { readonly quiet: boolean },
  ) => SecurityEvent | undefined
}

/** Events that built-in detectors look at. */
const WATCHED: ReadonlySet<string> = new Set([
  ...['authn_login_fail', 'authn_login_success', 'authz_fail', 'authn_token_reuse', 'excess_rate_limit_exceeded'],
  'holdfast.session_rejected',
])

/** Detectors, what they count, and what follows from what they find. */
export function createGuard(options: GuardOptions, { owner, redis, now, id, digest, record }: GuardContext): Guard {
  const { detectors: chosen, ownDetectors = [], enforce = [], allow = [], honeypots = [], geo } = options
  const { onAlert, webhook, onRevoke, blockFor = '15m', maxBlock = '24h', maxCounters = 50_000 } = options
  const detectors =
    chosen === false ? ownDetectors : chosenDetectors({ settings: settingsOf(chosen), own: ownDetectors, geo })
  const names = new Set(detectors.map(({ name }) => name))
  const unknown = enforce.find((name) => !names.has(name))
  if (unknown !== undefined) {
    throw new ConfigurationError(owner, 'enforce', `names a detector that does not run: ${JSON.stringify(unknown)}`)
  }
  const enforced = new Set(enforce)
  const matches = typeof allow === 'function' ? undefined : addressMatcher(allow)
  const isAllowed = (signal: Signal): boolean =>
    typeof allow === 'function' ? allow(signal) : matches?.(signal.ip) === true
  const restrictions = (enforced.size > 0 ? createRestrictions : unrestricted)({
    redis,
    duration: toMs(blockFor),
    maxDuration: toMs(maxBlock),
    now,
  })
  const alerts = createAlerts({ redis, digest, onAlert, webhook })
  const watch = createWatch({
    redis,
    detectors,
    counters: createRedisCounters({ redis, digest, maxKeys: maxCounters }),
    allowed: isAllowed,
    onFound,
  })

  function onFound({ detector, signal, finding }: Found): void {
    const { subject, count, because } = finding
    const isEnforced = enforced.has(detector.name)
    const done = isEnforced ? carryOut(detector, subject) : 'observed'
    const event = record(
      detector.event,
      {
        userId: signal.userId,
        ip: signal.ip,
        path: signal.path,
        confidence: detector.confidence,
        action: done,
        detector: detector.name,
        subject: subject.kind,
        count,
        threshold: detector.threshold,
        windowMs: detector.window,
        would: detector.action,
        because,
        ...(detector.event === 'holdfast.detected' ? { level: 'warn' as const } : {}),
      },
      { account: signal.account, session: signal.session, quiet: true },
    )
    if (event === undefined) return
    const { name, action, cooldown } = detector
    const alert = { detector: name, event, subject, action, enforced: isEnforced, count }
    alerts.raise(because === undefined ? alert : { ...alert, because }, cooldown)
  }

  function carryOut({ name, action }: Detector, subject: Subject): string {
    if (action === 'observe') return 'observed'
    if (action === 'revoke') {
      revoke(name, subject)
      return 'revoke'
    }
    const restriction = restrictions.impose(subjectKey(subject), action, name)
    return restriction === undefined
      ? `${action}, in force already`
      : `${action} until ${new Date(restriction.until).toISOString()}`
  }

  function revoke(detector: string, subject: Subject): void {
    const revocation: Revocation = {
      detector,
      ...('userId' in subject ? { userId: subject.userId } : {}),
      ...('session' in subject ? { session: subject.session } : {}),
    }
    redis.emit('security.revoke', revocation)
    Promise.resolve()
      .then(() => onRevoke?.(revocation))
      .catch((error: unknown) => {
        redis.warn('HOLDFAST_SECURITY_ON_REVOKE', `onRevoke failed: ${String((error as Error)?.name)}`)
      })
  }

  const traps = new Set(honeypots.map(plain))
  const watchesAll = ownDetectors.length > 0
  return {
    isHoneypot: (path) => traps.size > 0 && traps.has(plain(path)),
    seen(event, at, { device, credential }) {
      if (detectors.length === 0 || !(watchesAll || WATCHED.has(event.event))) return
      const { id: eventId, event: type, userId, ip, userAgent, session, path, status, reason, method } = event
      const isLogin = type === 'authn_login_fail' || type === 'authn_login_success'
      const account = event.account ?? (isLogin && userId !== undefined ? accountDigest(digest, userId) : undefined)
      watch.push({
        ...{ at, id: eventId, type, userId, account, ip, device, credential, session, path, status, reason, method },
        agent: agentFamily(userAgent),
        unknownAccount: reason === 'unknown_account',
      })
    },
    request(signal) {
      if (detectors.length > 0) watch.push({ ...signal, type: 'holdfast.request', at: now(), id: id() })
    },
    find: (subject, action) => restrictions.find(subjectKey(subject), action),
    allowed: (ip) => {
      if (typeof allow !== 'function') return matches?.(ip) === true
      try {
        return allow({ type: 'holdfast.request', at: now(), id: '', ip })
      } catch {
        return false
      }
    },
    lift: (subject) => restrictions.lift(subjectKey(subject)),
    restrictions: restrictions.list,
    idle: () => watch.idle(),
    close() {
      watch.close()
      restrictions.close()
      alerts.close()
    },
  }
}

/** Express does not mind case and a slash at the end; neither does a trap. */
function plain(path: string): string {
  const end = path.length > 1 && path.endsWith('/') ? path.length - 1 : path.length
  return path.slice(0, end).toLowerCase()
}

function settingsOf(
  chosen: Exclude<GuardOptions['detectors'], false>,
): Partial<Record<DetectorName, Partial<DetectorSettings> | false>> {
  const settings: Partial<Record<DetectorName, Partial<DetectorSettings> | false>> = {}
  for (const [name, override] of Object.entries(chosen ?? {}) as [
    DetectorName,
    DetectorOverride | false | undefined,
  ][]) {
    if (override === false) settings[name] = false
    else if (override !== undefined) {
      const { threshold, window, cooldown } = override
      settings[name] = {
        ...(threshold === undefined ? {} : { threshold }),
        ...(window === undefined ? {} : { window: toMs(window) }),
        ...(cooldown === undefined ? {} : { cooldown: toMs(cooldown) }),
      }
    }
  }
  return settings
}

/** The subject of a login from an address, for a look-up. */
export function pairOf(account: string, ip: string | undefined): Subject {
  return { kind: 'pair', account, network: subscriber(ip) ?? '' }
}
