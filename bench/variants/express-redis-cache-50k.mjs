import { expressRedisCache } from './express-redis-cache.mjs'
import { large } from './payload.mjs'

export const create = (url) => expressRedisCache(url, large)
