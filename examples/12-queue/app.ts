import express, { type Express } from 'express'
import { type Channel, createPubSub, defineChannel, isRedisUnavailable, type RedisManager } from 'holdfast'
import { createQueue, isPayloadError, type Queue } from 'holdfast/queue'

export interface Mail {
  readonly to: string
  readonly subject: string
}

/** Whoever is interested hears of every mail that was sent. */
export const sent: Channel<{ id: string; to: string }> = defineChannel('mails-sent')

/** The web side and the worker both make it, so that they agree on its options. */
export function createMails(redis: RedisManager): Queue<Mail> {
  return createQueue<Mail>('mails', {
    redis,
    attempts: 5,
    backoff: { type: 'exponential', delay: '500ms' },
    onDead: ({ id, reason }) => console.error(`mail ${id} is dead: ${reason}`),
  })
}

/** The web side: adds jobs, and shows the dead ones to an operator, who can have them done again. */
export function createApp(redis: RedisManager, mails: Queue<Mail>): Express {
  const bus = createPubSub({ redis })
  let count = 0
  bus.subscribe(sent, () => {
    count++
  })

  const app = express()
  app.post('/mails', express.json(), async (req, res) => {
    const { to, subject, id } = (req.body ?? {}) as Partial<Mail> & { id?: string }
    if (typeof to !== 'string' || typeof subject !== 'string') return void res.sendStatus(400)
    try {
      // The same id again, as after a time-out, adds nothing.
      res.status(202).json(await mails.add({ to, subject }, id === undefined ? {} : { id }))
    } catch (error) {
      if (isPayloadError(error)) return void res.sendStatus(413)
      if (!isRedisUnavailable(error)) throw error
      res.status(503).set('Retry-After', '1').json({ error: 'try again soon' })
    }
  })
  app.get('/mails/dead', async (_req, res) => {
    res.json(await mails.dlq.list({ limit: 20 }))
  })
  app.post('/mails/dead/:id/retry', async (req, res) => {
    res.sendStatus((await mails.dlq.retry(req.params.id)) ? 202 : 404)
  })
  app.get('/mails/sent', (_req, res) => {
    res.json({ count })
  })
  return app
}
