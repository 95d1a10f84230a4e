import { createPubSub, type RedisManager } from 'holdfast'
import { PermanentJobError, type Queue, type QueueWorker } from 'holdfast/queue'
import { type Mail, sent } from './app.js'

/** The background side: any number of processes may run it. */
export function startWorker(
  redis: RedisManager,
  mails: Queue<Mail>,
  deliver: (mail: Mail, signal: AbortSignal) => Promise<void>,
): QueueWorker {
  const bus = createPubSub({ redis })
  return mails.process(
    async ({ id, data, signal }) => {
      if (!data.to.includes('@')) throw new PermanentJobError(`${data.to} is no address`)
      await deliver(data, signal)
      await bus.publish(sent, { id, to: data.to })
    },
    { concurrency: 10 },
  )
}
