import compression from 'compression'
import { create as cached } from './holdfast-cache-local-50k.mjs'

export { headers } from './compress-holdfast-50k.mjs'

/** The same cache behind `compression()`, which compresses each hit anew. */
export const create = (url) => cached(url, { before: [compression()] })
