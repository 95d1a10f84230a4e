import { createHash, timingSafeEqual } from 'node:crypto'
import { Readable } from 'node:stream'
import express, { type Express } from 'express'
import { type RedisManager, type SecurityAlert, securityLog } from 'holdfast'

/** Stands for your user table. A real one holds hashes made by scrypt or argon2. */
const PASSWORDS: ReadonlyMap<string, string> = new Map([
  ['ann@example.test', 'correct horse'],
  ['bob@example.test', 'battery staple'],
])
/** Compared with where there is no such account, so that both answers take as long. */
const NOBODY = 'no password at all'

function isRight(email: unknown, password: unknown): boolean {
  const expected = typeof email === 'string' ? PASSWORDS.get(email) : undefined
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  const same = timingSafeEqual(digest(typeof password === 'string' ? password : ''), digest(expected ?? NOBODY))
  return same && expected !== undefined
}

export interface ExampleOptions {
  /** Signs device cookies; the same in every process. */
  readonly secret: string
  /** At least 32 characters that Redis does not know. */
  readonly signingKey: string
  readonly onAlert?: (alert: SecurityAlert) => void
  /** Where events are written besides Redis. @default console */
  readonly sink?: 'console' | (() => void)
}

/** A log-in that guessing does not get through, with an audit trail. */
export function createApp(
  redis: RedisManager,
  { secret, signingKey, onAlert, sink = 'console' }: ExampleOptions,
): Express {
  const security = securityLog({
    redis,
    sink,
    secret,
    app: 'example',
    events: { 'example.transfer': 'info' },
    // Everything is watched; only these are acted upon.
    enforce: ['bruteForcePair', 'bruteForceAccount', 'passwordSpraying', 'honeypot', 'sensitivePaths'],
    honeypots: ['/wp-login.php'],
    integrity: { keys: [{ id: '2026', key: signingKey }] },
    onAlert,
  })

  const app = express()
  app.set('trust proxy', 'loopback')
  app.use(security, express.json({ limit: '10kb' }))

  const guard = security.login({ account: (req) => req.body?.email, credential: (req) => req.body?.password })
  app.post('/login', guard, (req, res) => {
    if (!isRight(req.body?.email, req.body?.password)) {
      return void res.status(401).json({ error: 'wrong name or password' })
    }
    res.json({ secondFactor: req.security.stepUp, knownDevice: req.security.knownDevice })
  })

  app.post('/transfers', (req, res) => {
    req.security.record('example.transfer', {
      userId: req.body?.from,
      target: req.body?.to,
      amount: req.body?.amount,
      audit: true,
    })
    res.sendStatus(202)
  })

  // For operators: keep these behind your administration's log-in.
  app.get('/audit', async (req, res) => {
    const { cursor } = req.query
    res.json(await security.query({ limit: 50, cursor: typeof cursor === 'string' ? cursor : undefined }))
  })
  app.get('/audit.csv', (_req, res) => {
    res.type('text/csv')
    Readable.from(security.export({ format: 'csv' })).pipe(res)
  })
  app.get('/audit/verification', async (_req, res) => {
    res.json(await security.verify())
  })
  app.get('/restrictions', (_req, res) => {
    res.json([...security.restrictions().values()])
  })
  return app
}
