import express from 'express'
import createCache from 'express-redis-cache'
import { payload } from './payload.mjs'

/** Brings its own client, node-redis 2: database 0, told apart by its prefix. */
export function expressRedisCache(url, body) {
  const { hostname: host, port } = new URL(url)
  const cache = createCache({ host, port: Number(port), expire: 3600, type: 'application/json; charset=utf-8' })
  cache.on('error', (error) => {
    throw error
  })
  return express().get('/', cache.route(), (_req, res) => void res.json(body))
}

export const create = (url) => expressRedisCache(url, payload)
