import { expect } from '@jest/globals'
import express, { type RequestHandler } from 'express'
import { responseCache } from '../../src/response-cache/index.js'
import { describeDegradation } from '../contract/degradation.js'

for (const local of [false, true])
  describeDegradation(`responseCache${local ? ' with copies in the process' : ''}`, {
    mount: (redis) =>
      express()
        .use(responseCache({ redis, ttl: '60s', tags: ['products'], local }) as RequestHandler)
        .get('/', (_req, res) => void res.json({ name: 'Lamp' })),
    whenUp: async (get) => {
      await get('/')
      const { status, headers, body } = await get('/')
      expect(status).toBe(200)
      expect(headers.get('x-cache')).toBe('HIT')
      expect(body).toBe('{"name":"Lamp"}')
    },
    whenAway: ({ headers, body }) => {
      expect(headers.get('x-cache')).toBe('BYPASS')
      expect(body).toBe('{"name":"Lamp"}')
    },
  })
