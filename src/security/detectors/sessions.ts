import type { Detector, DetectorSettings } from './detector.js'
import { neighbourhood, subscriber } from './network.js'

/**
 * One session, two browsers. A score, not a rule: another browser or system is strong, another network is weak (phones
 * change networks all day, browsers update themselves). Two browsers within a minute are sure; a new browser together
 * with a new network in the window is likely. (OWASP Session Management Cheat Sheet.)
 */
export function sessionHijack({ window, threshold, cooldown }: DetectorSettings): Detector {
  return {
    ...{ name: 'sessionHijack', event: 'holdfast.detected', confidence: 'medium', action: 'revoke' },
    ...{ window, threshold, cooldown },
    measure({ session, agent, ip }) {
      if (session === undefined || agent === undefined) return []
      const member = `${agent}|${neighbourhood(ip) ?? ''}`
      return [{ op: 'add', key: `seen:${session}`, member, window, cap: 20, entries: true }]
    },
    judge({ session = '', userId, agent, ip, at }, [seen]) {
      if (seen === undefined || agent === undefined) return undefined
      const because: string[] = []
      let score = 0
      const others = seen.entries.map(([member, time]) => ({
        member,
        time,
        of: member.slice(0, member.lastIndexOf('|')),
      }))
      const strangers = others.filter(({ of }) => of !== agent)
      if (strangers.length > 0) {
        score += 2
        because.push('another browser or system')
        if (strangers.some(({ time }) => at - time <= 60_000)) {
          score += 2
          because.push('both within a minute')
        }
        const here = neighbourhood(ip) ?? ''
        if (strangers.some(({ member }) => !member.endsWith(`|${here}`))) {
          score += 1
          because.push('another network')
        }
      }
      return score >= threshold ? { subject: { kind: 'session', session, userId }, count: score, because } : undefined
    },
  }
}

/** Somebody tries session cookies: different ones whose signatures are not ours. */
export function sessionGuessing({ window, threshold, cooldown }: DetectorSettings): Detector {
  return {
    ...{ name: 'sessionGuessing', event: 'holdfast.detected', confidence: 'medium', action: 'block' },
    ...{ window, threshold, cooldown },
    measure({ type, ip, id, credential = id }) {
      const network = subscriber(ip)
      if (type !== 'holdfast.session_rejected' || network === undefined) return []
      // A stale cookie comes with every request of an honest browser, and counts once.
      return [{ op: 'add', key: `guessing:${network}`, member: credential, window, cap: threshold * 4 }]
    },
    judge({ ip }, [tries]) {
      const network = subscriber(ip)
      if (tries === undefined || network === undefined || tries.count < threshold) return undefined
      return { subject: { kind: 'network', network }, count: tries.count }
    },
  }
}

/** A refresh token that was exchanged already: one of its two holders stole it. (RFC 9700 section 4.14.2.) */
export function tokenReuse({ window, threshold, cooldown }: DetectorSettings): Detector {
  return {
    ...{ name: 'tokenReuse', event: 'holdfast.detected', confidence: 'high', action: 'revoke' },
    ...{ window, threshold, cooldown },
    measure({ type, session, userId, id }) {
      const key = session ?? userId
      if (type !== 'authn_token_reuse' || key === undefined) return []
      return [{ op: 'add', key: `reuse:${key}`, member: id, window, cap: 10 }]
    },
    judge({ session, userId }, [uses]) {
      if (uses === undefined || uses.count < threshold) return undefined
      if (session !== undefined) return { subject: { kind: 'session', session, userId }, count: uses.count }
      return userId === undefined ? undefined : { subject: { kind: 'user', userId }, count: uses.count }
    },
  }
}
