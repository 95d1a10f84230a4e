import { large } from './payload.mjs'
import { seed } from './seed-ioredis.mjs'

export const create = (url) => seed(url, large)
