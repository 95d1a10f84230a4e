/** How urgent an event is. */
export type SecurityLevel = 'info' | 'warn' | 'critical'

/**
 * Events of the OWASP Logging Vocabulary with the level it gives them
 * (https://cheatsheetseries.owasp.org/cheatsheets/Logging_Vocabulary_Cheat_Sheet.html). Its parameters after a colon
 * (`authn_login_fail:joe`) are fields here: values inside a name break every query and counter.
 */
const OWASP = {
  authn_login_success: 'info',
  authn_login_successafterfail: 'info',
  authn_login_fail: 'warn',
  authn_login_fail_max: 'warn',
  authn_login_lock: 'warn',
  authn_password_change: 'info',
  authn_password_change_fail: 'critical',
  authn_impossible_travel: 'critical',
  authn_token_created: 'info',
  authn_token_revoked: 'info',
  authn_token_reuse: 'critical',
  authn_token_delete: 'warn',
  authz_fail: 'critical',
  authz_change: 'warn',
  authz_admin: 'warn',
  crypt_decrypt_fail: 'warn',
  crypt_encrypt_fail: 'warn',
  excess_rate_limit_exceeded: 'warn',
  excess_sessions_exceeded: 'warn',
  upload_complete: 'info',
  upload_stored: 'info',
  upload_validation: 'info',
  upload_delete: 'info',
  input_validation_fail: 'warn',
  input_validation_discrete_fail: 'warn',
  malicious_excess_404: 'warn',
  malicious_extraneous: 'critical',
  malicious_attack_tool: 'critical',
  malicious_sqli: 'critical',
  malicious_cors: 'critical',
  malicious_direct_reference: 'critical',
  malicious_csrf: 'warn',
  malicious_csp_violation: 'warn',
  privilege_permissions_changed: 'warn',
  sensitive_create: 'warn',
  sensitive_read: 'warn',
  sensitive_update: 'warn',
  sensitive_delete: 'warn',
  sequence_fail: 'critical',
  session_created: 'info',
  session_renewed: 'info',
  session_expired: 'info',
  session_logout: 'info',
  session_use_after_expire: 'critical',
  sys_startup: 'warn',
  sys_shutdown: 'warn',
  sys_restart: 'warn',
  sys_crash: 'warn',
  sys_monitor_disabled: 'warn',
  sys_monitor_enabled: 'warn',
  user_created: 'warn',
  user_updated: 'warn',
  user_archived: 'warn',
  user_deleted: 'warn',
} as const

/** Names that older code uses, and what they mean in the vocabulary. */
const ALIASES = {
  LOGIN_SUCCESS: 'authn_login_success',
  LOGIN_FAILED: 'authn_login_fail',
  LOGIN_FAILURE: 'authn_login_fail',
  LOGOUT: 'session_logout',
  ACCOUNT_LOCKED: 'authn_login_lock',
  PASSWORD_CHANGED: 'authn_password_change',
  PASSWORD_CHANGE_FAILED: 'authn_password_change_fail',
  TOKEN_CREATED: 'authn_token_created',
  TOKEN_REVOKED: 'authn_token_revoked',
  TOKEN_REUSED: 'authn_token_reuse',
  ACCESS_DENIED: 'authz_fail',
  UNAUTHORIZED_ACCESS: 'authz_fail',
  PERMISSION_DENIED: 'authz_fail',
  PERMISSION_CHANGED: 'privilege_permissions_changed',
  ROLE_CHANGED: 'privilege_permissions_changed',
  RATE_LIMIT_EXCEEDED: 'excess_rate_limit_exceeded',
  SESSION_CREATED: 'session_created',
  SESSION_EXPIRED: 'session_expired',
  INVALID_INPUT: 'input_validation_fail',
  CSRF_DETECTED: 'malicious_csrf',
  SQL_INJECTION: 'malicious_sqli',
  DATA_ACCESS: 'sensitive_read',
  DATA_EXPORT: 'sensitive_read',
  USER_CREATED: 'user_created',
  USER_UPDATED: 'user_updated',
  USER_DELETED: 'user_deleted',
} as const

/** A name of the OWASP Logging Vocabulary. */
export type OwaspEventType = keyof typeof OWASP

/** An old-style name, recorded under its OWASP name. */
export type EventAlias = keyof typeof ALIASES

/** A name of your own: always with a namespace, so that a misspelt OWASP name does not compile. */
export type OwnEventType = `${string}.${string}`

export type SecurityEventType = OwaspEventType | OwnEventType

/** Recorded in place of a name that neither the vocabulary nor the application knows. */
export const UNREGISTERED = 'holdfast.unregistered'

const OWN = /^[A-Za-z][\w-]{0,39}(\.[A-Za-z0-9][\w-]{0,39}){1,3}$/

/** True for a name with a namespace: `shop.coupon_abuse`. */
export function isOwnEventType(name: unknown): name is OwnEventType {
  return typeof name === 'string' && OWN.test(name)
}

/** Every OWASP name. */
export const owaspEventTypes: readonly OwaspEventType[] = Object.keys(OWASP) as OwaspEventType[]

export interface Meaning {
  readonly type: SecurityEventType
  readonly level: SecurityLevel
}

/** The event a name stands for. Never throws: a name nobody knows is an event of its own. */
export function meaningOf(name: unknown, own: ReadonlyMap<string, SecurityLevel>): Meaning {
  if (typeof name === 'string') {
    if (Object.hasOwn(OWASP, name)) return { type: name as OwaspEventType, level: OWASP[name as OwaspEventType] }
    if (Object.hasOwn(ALIASES, name)) return meaningOf(ALIASES[name as EventAlias], own)
    if (isOwnEventType(name)) return { type: name, level: own.get(name) ?? 'info' }
  }
  return { type: UNREGISTERED, level: 'warn' }
}
