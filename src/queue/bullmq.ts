import { ConfigurationError, isError } from '../shared/errors.js'

export type BullMQ = typeof import('bullmq')

/** An optional peer, loaded by the first queue that is made. */
export async function loadBullMQ(): Promise<BullMQ> {
  try {
    return await import('bullmq')
  } catch (error) {
    const code = isError(error) ? (error as NodeJS.ErrnoException).code : undefined
    const problem = /MODULE_NOT_FOUND$/.test(String(code))
      ? 'must be installed'
      : 'could not be loaded, install it again'
    const failure = new ConfigurationError('createQueue', 'bullmq', `${problem}: npm install bullmq`)
    throw Object.assign(failure, { cause: error })
  }
}
