export { createServer, listen } from './create-server.js'
export type { FrontOptions } from './front/options.js'
export { mustRun } from './front/traces.js'
export type { ExpressApplication } from './prototypes.js'
