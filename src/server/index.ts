export { createServer, listen } from './create-server.js'
export type { ExpressApplication } from './prototypes.js'
