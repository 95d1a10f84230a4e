import { HoldfastError, isError, isHoldfastError } from './errors.js'

/** `too-large`: over the limit. `not-json`: `undefined`, a cycle, a BigInt. `invalid`: refused by the schema. */
export type PayloadProblem = 'too-large' | 'not-json' | 'invalid'

/** What was to be sent cannot be; nothing was. Code `ERR_HOLDFAST_PAYLOAD`. The message holds none of the payload. */
export class PayloadError extends HoldfastError {
  override readonly name = 'PayloadError' as const
  readonly problem: PayloadProblem

  constructor(owner: string, problem: PayloadProblem, explanation: string, cause?: unknown) {
    super('ERR_HOLDFAST_PAYLOAD', `${owner}: ${explanation}`, isError(cause) ? { cause } : undefined)
    this.problem = problem
  }
}

/** True for {@link PayloadError} of any installed copy of Holdfast. */
export function isPayloadError(error: unknown): error is PayloadError {
  return isHoldfastError(error) && error.code === 'ERR_HOLDFAST_PAYLOAD'
}

/** The payload as JSON, without line breaks. Throws a {@link PayloadError} where there is none or it is too long. */
export function encodePayload(owner: string, payload: unknown, maxBytes: number): string {
  let json: string | undefined
  try {
    json = JSON.stringify(payload)
  } catch (error) {
    throw new PayloadError(owner, 'not-json', 'the payload cannot be written as JSON', error)
  }
  if (json === undefined) throw new PayloadError(owner, 'not-json', 'the payload cannot be written as JSON')
  const bytes = Buffer.byteLength(json)
  if (bytes > maxBytes) {
    throw new PayloadError(owner, 'too-large', `the payload has ${bytes} bytes, more than the ${maxBytes} allowed`)
  }
  return json
}
