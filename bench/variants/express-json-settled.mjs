import express from 'express'
import { payload } from './payload.mjs'

/** What the middlewares do first for every request, alone: see docs/server.md. */
export async function create() {
  const { settle } = await import('../node_modules/holdfast/dist/esm/shared/settle.js')
  return express()
    .use((req, res, next) => {
      settle(req, res)
      next()
    })
    .get('/', (_req, res) => void res.json(payload))
}
