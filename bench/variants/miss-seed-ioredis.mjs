import { everyoneAnother } from './miss-express-json.mjs'
import { payload } from './payload.mjs'
import { seed } from './seed-ioredis.mjs'

export const create = (url) => seed(url, payload, everyoneAnother())
