import { expect } from '@jest/globals'
import express from 'express'
import { health } from '../../src/ops/index.js'
import { describeDegradation } from '../contract/degradation.js'

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
