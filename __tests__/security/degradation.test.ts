import { expect } from '@jest/globals'
import express from 'express'
import type { RedisManager } from '../../src/redis/index.js'
import { DETECTOR_DEFAULTS } from '../../src/security/detectors/defaults.js'
import { type SecurityMiddleware, type SecurityMiddlewareOptions, securityLog } from '../../src/security/index.js'
import { describeDegradation, type Subject } from '../contract/degradation.js'
import { collect } from './support.js'

let security: SecurityMiddleware
let sink: ReturnType<typeof collect>

describeDegradation('securityLog', subject({}))
describeDegradation(
  'securityLog with everything enforced',
  subject({
    enforce: Object.keys(DETECTOR_DEFAULTS).filter((name) => name !== 'impossibleTravel'),
    secret: 'only for these tests',
  }),
)

function subject(options: Partial<SecurityMiddlewareOptions>): Subject {
  return {
    mount: (redis: RedisManager) => {
      sink = collect()
      security = securityLog({ redis, sink, flushInterval: 0, ...options })
      return express()
        .use(security)
        .get('/', (req, res) => {
          res.json({ id: req.security.record('sensitive_read') })
        })
    },
    whenUp: async (get) => {
      const { status, body } = await get('/')
      expect(status).toBe(200)
      await security.flush(500)
      const { events } = await security.query({ limit: 50 })
      expect(events.map(({ id }) => id)).toContain(JSON.parse(body).id)
    },
    whenAway: ({ body }) => {
      expect(sink.events.map(({ id }) => id)).toContain(JSON.parse(body).id)
    },
    afterwards: async () => {
      await security.flush()
      expect(security.stats().buffered).toBe(0)
    },
  }
}
