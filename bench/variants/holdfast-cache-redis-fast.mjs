import { createServer } from 'holdfast/server'
import { create as plain } from './holdfast-cache-redis.mjs'

export const create = async (url) => createServer(await plain(url))
