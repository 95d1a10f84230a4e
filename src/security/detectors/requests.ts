import type { Detector, DetectorSettings, Signal } from './detector.js'
import { subscriber } from './network.js'

const STATIC = /\.(?:js|mjs|css|map|png|jpe?g|gif|svg|webp|ico|woff2?|ttf|txt|xml|webmanifest)$/i

/** What only somebody looking for a way in asks for. */
const SENSITIVE = new RegExp(
  [
    String.raw`(?:^|/)\.(?:env|git|svn|hg|aws|ssh|htaccess|htpasswd|npmrc|docker|kube|DS_Store)`,
    String.raw`(?:^|/)(?:wp-(?:admin|login|config|content|includes)|xmlrpc\.php|phpmyadmin|pma|adminer|phpinfo)`,
    String.raw`(?:^|/)(?:id_rsa|credentials|web\.config|docker-compose\.ya?ml|server-status|actuator|solr|cgi-bin)(?:[/.]|$)`,
    String.raw`\.(?:sql|bak|old|swp|pem|key|p12|pfx|kdbx|php\d?|asp|aspx|jsp)(?:\.gz|\.zip)?$`,
    String.raw`(?:\.\.|%2e%2e|\.%2e|%2e\.)(?:/|\\|%2f|%5c)`,
    String.raw`/etc/(?:passwd|shadow)|/proc/self|boot\.ini|%00`,
  ].join('|'),
  'i',
)

export function isSensitivePath(path: string): boolean {
  return SENSITIVE.test(path)
}

/** True for a refused request for something that a page would not link to. */
export function isProbe(path: string, status: number): boolean {
  return (status === 404 || status === 403 || status === 400) && !STATIC.test(path)
}

function byNetwork(
  name: string,
  { window, threshold, cooldown }: DetectorSettings,
  rule: Pick<Detector, 'event' | 'confidence' | 'action'>,
  member: (signal: Signal) => string | undefined,
): Detector {
  return {
    ...{ name, ...rule, window, threshold, cooldown },
    measure(signal) {
      const network = subscriber(signal.ip)
      const counted = member(signal)
      if (network === undefined || counted === undefined) return []
      return [{ op: 'add', key: `${name}:${network}`, member: counted, window, cap: threshold * 4 }]
    },
    judge({ ip }, [seen]) {
      const network = subscriber(ip)
      if (seen === undefined || network === undefined || seen.count < threshold) return undefined
      return { subject: { kind: 'network', network }, count: seen.count }
    },
  }
}

const isRequest = ({ type }: Signal): boolean => type === 'holdfast.request'
const short = (path: string): string => path.slice(0, 100)

/** Many different paths that are not there. Whoever is logged in is exempt: own clients cause bursts of 404. (CrowdSec http-probing: 10 distinct, leak 10 s.) */
export const pathScanning = (settings: DetectorSettings): Detector =>
  byNetwork('pathScanning', settings, { event: 'malicious_excess_404', confidence: 'medium', action: 'block' }, (it) =>
    isRequest(it) && it.userId === undefined && it.path !== undefined && isProbe(it.path, it.status ?? 0)
      ? short(it.path)
      : undefined,
  )

/** Requests for secrets, admin tools and files outside the root. (CrowdSec http-sensitive-files, http-path-traversal-probing, http-admin-interface-probing.) */
export const sensitivePaths = (settings: DetectorSettings): Detector =>
  byNetwork(
    'sensitivePaths',
    settings,
    { event: 'malicious_attack_tool', confidence: 'high', action: 'block' },
    (it) =>
      isRequest(it) && it.path !== undefined && (it.status ?? 0) >= 400 && isSensitivePath(it.path)
        ? short(it.path)
        : undefined,
  )

/** A path that nothing links to and nobody honest asks for. The lowest rate of false alarms of all. */
export const honeypot = (settings: DetectorSettings): Detector =>
  byNetwork('honeypot', settings, { event: 'malicious_extraneous', confidence: 'high', action: 'block' }, (it) =>
    it.reason === 'honeypot' ? it.id : undefined,
  )

/** One client keeps running into its rate limit. */
export const excessUse = (settings: DetectorSettings): Detector =>
  byNetwork('excessUse', settings, { event: 'holdfast.detected', confidence: 'low', action: 'observe' }, (it) =>
    it.type === 'excess_rate_limit_exceeded' ? it.id : undefined,
  )

/** A user asks again and again for what is forbidden. (AppSensor: 3 in 5 minutes.) */
export function privilegeProbing({ window, threshold, cooldown }: DetectorSettings): Detector {
  return {
    ...{ name: 'privilegeProbing', event: 'holdfast.detected', confidence: 'medium', action: 'observe' },
    ...{ window, threshold, cooldown },
    measure({ type, userId, reason, id }) {
      if (type !== 'authz_fail' || userId === undefined || reason === 'unauthenticated') return []
      return [{ op: 'add', key: `probing:${userId}`, member: id, window, cap: threshold * 4 }]
    },
    judge({ userId = '' }, [refused]) {
      if (refused === undefined || refused.count < threshold) return undefined
      return { subject: { kind: 'user', userId }, count: refused.count }
    },
  }
}
