import express from 'express'
import routeCache from 'route-cache'
import { payload } from './payload.mjs'

/** In the process' memory. */
export const create = () => express().get('/', routeCache.cacheSeconds(3600), (_req, res) => void res.json(payload))
