export type { Entry } from './entry.js'
export { type CacheEnvironment, cacheEnvironment } from './environment.js'
export { createStore, type Draft, type Reading, type Snapshot, type Store, type StoreOptions } from './store.js'
