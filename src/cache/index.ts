export { type CacheEnvironment, cacheEnvironment } from './environment.js'
