import { ConfigurationError } from '../shared/errors.js'

export type BullMQ = typeof import('bullmq')

/** An optional peer, loaded by the first queue that is used. */
export async function loadBullMQ(): Promise<BullMQ> {
  try {
    return await import('bullmq')
  } catch (error) {
    const missing = new ConfigurationError('createQueue', 'bullmq', 'must be installed: npm install bullmq')
    throw Object.assign(missing, { cause: error })
  }
}
