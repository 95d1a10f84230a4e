import type { Request, RequestHandler, Response } from 'express'
import { addressOf } from '../../shared/address.js'
import { aFunction, checkOptions, type Rules, requireOptions } from '../../shared/options.js'
import { cookieOf, type DeviceCookies } from '../device.js'
import { accountDigest, type Digest } from '../digest.js'
import { safely } from '../facts.js'
import type { Guard } from '../guard.js'
import { judgeLogin } from '../login.js'
import { refuse } from '../refuse.js'
import { RequestContext } from '../request-context.js'

export interface LoginOptions {
  /** The name that was typed: `(req) => req.body.email`. Only its keyed digest is kept. */
  readonly account: (req: Request) => string | undefined
  /** The secret that was typed, so that the same wrong one again is not a new guess. Only a keyed digest, for an hour. */
  readonly credential?: ((req: Request) => string | undefined) | undefined
  /**
   * What the answer means. A handler that records `authn_login_success` or `authn_login_fail` itself has the last word,
   * and must do so where it answers a wrong password with 200, or redirects. @default 2xx is a `success`; 401, 403 and
   * 404 are a `failure`; anything else is neither
   */
  readonly outcome?: ((req: Request, res: Response) => 'success' | 'failure' | undefined) | undefined
}

const rules: Rules<LoginOptions> = { account: aFunction, credential: aFunction, outcome: aFunction }

export interface LoginParts {
  readonly guard: Guard
  readonly devices: DeviceCookies | undefined
  readonly digest: Digest
  readonly now: () => number
}

/** Attempts held back at the same time; above it they are told to come back. */
const MAX_HELD = 200
const COOKIE_AGE = 90 * 86_400

export function createLoginMiddleware(
  options: LoginOptions,
  { guard, devices, digest, now }: LoginParts,
): RequestHandler {
  checkOptions('security.login', options, rules)
  requireOptions('security.login', options, rules, 'account')
  const { account: accountOf, credential: credentialOf, outcome = outcomeOf } = options
  let held = 0

  return function loginMiddleware(req, res, next) {
    const context: unknown = req.security
    const name = safely(() => accountOf(req))
    if (!(context instanceof RequestContext) || typeof name !== 'string' || name === '') return next()
    const account = accountDigest(digest, name)
    const device = devices?.verify(account, cookieOf(req.headers.cookie, devices.name(account)))
    const ip = addressOf(req)
    const judged = guard.allowed(ip)
      ? ({ verdict: 'proceed', stepUp: false } as const)
      : judgeLogin(guard, { account, ip, device }, now())
    if (judged.verdict === 'refuse') return refuse(res, judged.retryAfterMs)
    const secret = safely(() => credentialOf?.(req))
    const credential = typeof secret === 'string' ? digest('credential', `${account}\0${secret}`) : undefined
    context.login = { account, device, credential, stepUp: judged.stepUp }
    beforeHeaders(res, () => {
      const result = context.login?.outcome ?? safely(() => outcome(req, res))
      if (result === 'success') renewCookie(req, res, account)
    })
    res.once('finish', () => {
      if (context.login?.outcome !== undefined) return
      const result = safely(() => outcome(req, res))
      const status = res.statusCode
      if (result === 'success') context.append('authn_login_success', { status })
      if (result === 'failure') context.append('authn_login_fail', { status })
    })
    if (judged.verdict === 'proceed') return next()
    if (held >= MAX_HELD) return refuse(res, judged.ms)
    held++
    setTimeout(() => {
      held--
      if (!res.destroyed) next()
    }, judged.ms)
  }

  function renewCookie(req: Request, res: Response, account: string): void {
    if (devices === undefined) return
    const attributes = `Path=/; Max-Age=${COOKIE_AGE}; HttpOnly; SameSite=Lax${req.secure ? '; Secure' : ''}`
    res.append('Set-Cookie', `${devices.name(account)}=${devices.issue(account)}; ${attributes}`)
  }
}

function outcomeOf(_req: Request, { statusCode }: Response): 'success' | 'failure' | undefined {
  // Log-in pages redirect after a success and after a failure alike.
  if (statusCode >= 200 && statusCode < 300) return 'success'
  return statusCode === 401 || statusCode === 403 || statusCode === 404 ? 'failure' : undefined
}

/** Runs once, at the last moment at which a header can be added. */
function beforeHeaders(res: Response, run: () => void): void {
  const { writeHead } = res
  res.writeHead = function (this: Response, ...args: never[]) {
    res.writeHead = writeHead
    // A status given here is the one that counts.
    if (typeof args[0] === 'number') res.statusCode = args[0]
    run()
    return (writeHead as (...all: never[]) => Response).apply(this, args)
  } as typeof res.writeHead
}
