import { expect, it } from '@jest/globals'
import { createServer } from 'holdfast/server'
import request from 'supertest'
import { createApp } from '../../examples/08-fast-server/app.js'

it('answers as an Express app does', async () => {
  const { headers } = await request(createServer(createApp())).get('/').expect(200, { fast: true })
  expect(headers['x-powered-by']).toBe('Express')
})
