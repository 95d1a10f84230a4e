import { createServer } from 'node:http'
import { create as baseline } from './express-json.mjs'

/** The constructors of `holdfast/server` on every Node, to see where they help: `createServer(app)` decides by it. */
export async function create() {
  const { expressConstructors } = await import('../node_modules/holdfast/dist/esm/server/prototypes.js')
  const app = baseline()
  return createServer(expressConstructors(app), app)
}
