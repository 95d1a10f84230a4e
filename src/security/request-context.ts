import type { SecurityEvent, SecurityEventDetails } from './event.js'
import type { Known } from './log.js'
import type { EventAlias, OwaspEventType, OwnEventType } from './vocabulary.js'

/** Records events of one request: who, from where and what for are filled in. */
export interface RequestSecurity {
  record(type: OwaspEventType | EventAlias | OwnEventType, details?: SecurityEventDetails): string
  /** Ask for a second factor: a detector whose action is `stepUp` is enforced and found something. */
  readonly stepUp: boolean
  /** On a route behind `security.login()`: this device has logged in to this account before. */
  readonly knownDevice: boolean
}

/** A log-in attempt that this request is. */
export interface LoginContext {
  readonly account: string
  readonly device: string | undefined
  readonly credential: string | undefined
  readonly stepUp: boolean
  /** What the handler recorded, so that it is not recorded again by the status. */
  outcome?: 'success' | 'failure'
}

type Record = (type: unknown, details?: SecurityEventDetails, known?: Known) => SecurityEvent | undefined

export class RequestContext implements RequestSecurity {
  login: LoginContext | undefined
  readonly #record: Record
  readonly #userStepUp: () => boolean

  constructor(record: Record, userStepUp: () => boolean) {
    this.#record = record
    this.#userStepUp = userStepUp
  }

  get stepUp(): boolean {
    return this.login?.stepUp === true || this.#userStepUp()
  }

  get knownDevice(): boolean {
    return this.login?.device !== undefined
  }

  record(type: unknown, details?: SecurityEventDetails): string {
    return this.append(type, details)?.id ?? ''
  }

  append(type: unknown, details?: SecurityEventDetails): SecurityEvent | undefined {
    const { login } = this
    if (login === undefined) return this.#record(type, details)
    const { account, device, credential } = login
    const event = this.#record(type, details, { account, device, credential })
    if (event?.event === 'authn_login_success') login.outcome = 'success'
    if (event?.event === 'authn_login_fail') login.outcome = 'failure'
    return event
  }
}
