import express, { type Express } from 'express'
import { createLocks, isLockTimeout, isRedisUnavailable, type RedisManager } from 'holdfast'

/** A storage that refuses who comes with an old fence: the last line of defence where a lock is lost unnoticed. */
class Ledger {
  readonly entries: { readonly month: string; readonly fence: number }[] = []
  #greatest = 0

  append(month: string, fence: number): void {
    if (fence < this.#greatest) throw new Error('an old fence')
    this.#greatest = fence
    this.entries.push({ month, fence })
  }
}

/** A monthly run that one process does at a time, and uploads of which three run at a time, over all processes. */
export function createApp(redis: RedisManager, runMs = 200): Express {
  const locks = createLocks({ redis, ttl: '5s', wait: 0 })
  const ledger = new Ledger()
  const app = express()

  app.post('/invoices/:month', async (req, res) => {
    const { month } = req.params
    await locks.withLock(`invoices:${month}`, {}, async (lock) => {
      await new Promise((resolve) => setTimeout(resolve, runMs))
      lock.assertHeld()
      ledger.append(month, lock.fence)
    })
    res.status(201).json(ledger.entries.at(-1))
  })

  app.post('/uploads', async (_req, res) => {
    const place = await locks.tryAcquire('uploads', { holders: 3, ttl: '30s' })
    if (place === undefined) return void res.status(429).json({ error: 'three uploads are running' })
    await new Promise((resolve) => setTimeout(resolve, runMs))
    await place.release()
    res.sendStatus(204)
  })

  app.use(((error, _req, res, next) => {
    if (isLockTimeout(error)) res.status(409).json({ error: 'it is running already' })
    else if (isRedisUnavailable(error)) res.status(503).json({ error: 'nobody can tell whether it is running' })
    else next(error)
  }) as express.ErrorRequestHandler)
  return app
}
