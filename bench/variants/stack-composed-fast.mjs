import { createServer } from 'holdfast/server'
import { create as composed } from './stack-composed.mjs'

export { login } from './stack-composed.mjs'

export const create = async (url) => createServer(await composed(url))
