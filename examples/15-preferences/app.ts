import express, { type Express } from 'express'
import {
  createPreferences,
  isPayloadError,
  isPreferenceValueError,
  isRedisUnavailable,
  type RedisManager,
} from 'holdfast'

/** Preferences that a page reads on every request, and that two open windows cannot overwrite for each other. */
export function createApp(redis: RedisManager): Express {
  const preferences = createPreferences({
    redis,
    defaults: { theme: 'light', pageSize: 20 },
    validate: { theme: (value) => value === 'light' || value === 'dark' },
  })
  const app = express()

  app.get('/users/:id/preferences', async (req, res) => {
    const { values, version } = await preferences.read(req.params.id)
    res.set('ETag', `"${version}"`).json(values)
  })

  app.patch('/users/:id/preferences', express.json(), async (req, res) => {
    const version = /^"(.*)"$/.exec(req.get('If-Match') ?? '')?.[1]
    if (version === undefined) return void res.status(428).json({ error: 'If-Match is required' })
    const done = await preferences.compareAndSet(req.params.id, version, req.body)
    if (done) res.json(await preferences.all(req.params.id))
    else res.status(412).json({ error: 'they were changed in the meantime' })
  })

  app.get('/users/:id/export', async (req, res) => {
    res.json(await preferences.export(req.params.id))
  })

  app.delete('/users/:id', async (req, res) => {
    await preferences.erase(req.params.id)
    res.sendStatus(204)
  })

  // Never fails because of Redis: whoever has no values gets the defaults.
  app.get('/users/:id/page', async (req, res) => {
    const { theme, pageSize } = await preferences.all(req.params.id)
    res.send(`<body class="${theme}">${pageSize} rows</body>`)
  })

  app.use(((error, _req, res, next) => {
    if (isPreferenceValueError(error) || isPayloadError(error)) res.status(400).json({ error: error.message })
    else if (isRedisUnavailable(error)) res.status(503).json({ error: 'preferences cannot be changed at the moment' })
    else next(error)
  }) as express.ErrorRequestHandler)
  return app
}
