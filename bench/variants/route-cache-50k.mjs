import express from 'express'
import routeCache from 'route-cache'
import { large } from './payload.mjs'

export const create = () => express().get('/', routeCache.cacheSeconds(3600), (_req, res) => void res.json(large))
