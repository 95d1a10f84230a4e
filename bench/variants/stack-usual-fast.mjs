import { createServer } from 'holdfast/server'
import { create as usual } from './stack-usual.mjs'

export { login } from './stack-usual.mjs'

export const create = (url) => createServer(usual(url))
