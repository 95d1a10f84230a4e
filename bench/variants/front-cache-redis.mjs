import { create as inFront } from './front-cache-local.mjs'

export const create = (url) => inFront(url, { local: false })
