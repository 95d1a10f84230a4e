import { expect } from '@jest/globals'
import express from 'express'
import { createMetrics, createMonitor, createUpkeep, health, prometheus } from '../../src/ops/index.js'
import { describeDegradation } from '../contract/degradation.js'
import { eventually } from '../support/eventually.js'

describeDegradation('health', {
  mount: (redis) => express().use(health({ redis })),
  whenUp: async (get) => {
    const { status, body } = await get('/')
    expect(status).toBe(200)
    expect(JSON.parse(body)).toMatchObject({ status: 'pass', checks: { 'redis:state': [{ observedValue: 'up' }] } })
  },
  whenAway: ({ body }) => {
    expect(JSON.parse(body).status).toBe('warn')
  },
})

describeDegradation('monitor, metrics and upkeep', {
  mount: (redis) => {
    const metrics = createMetrics({ redis, fleet: { every: 100 } })
    const monitor = createMonitor({ redis, every: 100, samples: 1 })
    let turns = 0
    createUpkeep({ redis, tasks: { count: { every: 100, run: () => void turns++ } } })
    const app = express()
    app.get('/metrics', prometheus({ metrics }))
    app.get('/', async (_req, res) => {
      const ping = await redis.attempt(
        'ping',
        (client) => client.ping(),
        () => 'away',
      )
      const alerts = monitor.alerts().map(({ condition }) => condition)
      res.json({ ping, state: redis.state, alerts, turns, refused: metrics.snapshot().operations.ping?.refused ?? 0 })
    })
    return app
  },
  prepare: (get) => eventually(async () => JSON.parse((await get('/')).body).turns > 0 && {}),
  whenUp: async (get) => {
    const first = JSON.parse((await get('/')).body)
    expect(first).toMatchObject({ ping: 'PONG', alerts: [] })
    expect(first.turns).toBeGreaterThan(0)
    expect((await get('/metrics')).body).toContain('holdfast_redis_up 1')
  },
  whenAway: ({ body }) => {
    const { ping, state, alerts, refused } = JSON.parse(body)
    expect(ping).toBe('away')
    expect(refused).toBeGreaterThan(0)
    // Before the first answer of Redis nothing is lost yet.
    if (state !== 'connecting') expect(alerts).toContain(state === 'down' ? 'connection' : 'latency')
  },
})
