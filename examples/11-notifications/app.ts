import { fileURLToPath } from 'node:url'
import express, { type Express, type Request } from 'express'
import { createNotifier, type Notifier, type RedisManager } from 'holdfast'

/** Stands for your log-in: an EventSource sends cookies, but no headers of its own. */
const userOf = (req: Request): string | undefined => (typeof req.query.user === 'string' ? req.query.user : undefined)

/** A page that shows what happens while it happens, in every tab and on every process. */
export function createApp(redis: RedisManager): { app: Express; notifier: Notifier } {
  const notifier = createNotifier({ redis, history: 50 })
  const app = express()

  app.get('/', (_req, res) => res.sendFile('page.html', { root: here }))
  app.get('/events', notifier.stream({ user: userOf, topics: () => ['news'] }))

  app.post('/orders', async (req, res) => {
    const user = userOf(req)
    if (user === undefined) return void res.sendStatus(401)
    const id = Date.now()
    // The key makes a retry harmless where the first attempt may or may not have arrived.
    const { outcome } = await notifier.notify(user, { type: 'order', data: { id }, key: `order:${id}` })
    res.status(201).json({ id, notified: outcome })
  })
  app.post('/news', express.json(), async (req, res) => {
    const { text } = (req.body ?? {}) as { text?: unknown }
    if (typeof text !== 'string') return void res.status(400).json({ error: 'text is needed' })
    res.status(202).json(await notifier.broadcast('news', { type: 'headline', data: { text } }))
  })
  app.post('/read', async (req, res) => {
    res.json({ unread: await notifier.markRead(userOf(req) ?? 'nobody') })
  })
  return { app, notifier }
}

const here = fileURLToPath(new URL('.', import.meta.url))
