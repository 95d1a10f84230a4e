import { create as cached } from './holdfast-cache-local-50k.mjs'

export const headers = { 'Accept-Encoding': 'br' }

/** Each hit is one of the stored Brotli bytes. */
export const create = (url) => cached(url, { compress: true })
