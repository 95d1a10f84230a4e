import type { ServerResponse } from 'node:http'
import type { RedisManager } from '../redis/index.js'
import type { SessionCore } from './core.js'
import { useEphemeralSession } from './ephemeral.js'
import type { Exchange } from './exchange.js'
import { bearerToken } from './identity.js'
import { refuse } from './refuse.js'
import type { SessionsOfRequest } from './request-sessions.js'

/** What a request gets whose session cannot be asked for. */
export type WhenUnavailable = 'passthrough' | 'ephemeral' | 'reject'

export interface OutageSettings {
  readonly core: SessionCore
  /** Whether access tokens are to be judged. */
  readonly judging: boolean
  readonly onUnavailable: (request: Exchange) => WhenUnavailable
}

/** Lets a request go on without the session that nobody can ask for, as was chosen. */
export function withoutSession(
  { core, judging, onUnavailable }: OutageSettings,
  request: Exchange & { readonly sessions: SessionsOfRequest },
  response: ServerResponse,
  next: (error?: unknown) => void,
): void {
  // With an id and no session, express-session would destroy the session where `unset` is 'destroy'.
  Object.assign(request, { session: undefined, sessionID: undefined })
  request.sessions.state = 'unavailable'
  const token = judging ? bearerToken(request.headers.authorization) : undefined
  if (token === undefined) return goOn()
  core.judge(token).then((judged) => {
    if (judged === undefined) return goOn()
    request.sessions.degrade(judged)
    next()
  }, next)

  function goOn(): void {
    let answer: WhenUnavailable
    try {
      answer = onUnavailable(request)
    } catch (error) {
      return next(error)
    }
    if (answer === 'reject') return refuse(response, 'session-unavailable')
    if (answer === 'ephemeral') useEphemeralSession(request)
    next()
  }
}

/** Tells that a session could not be loaded or stored, and why. */
export function reportUnavailable(redis: RedisManager, error: unknown, operation: 'load' | 'save'): void {
  const { reason, kind, code } = error as { reason?: string; kind?: string; code?: string }
  redis.emit('session.unavailable', { operation, reason: reason ?? kind ?? code ?? 'error' })
}
