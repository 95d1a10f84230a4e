import { create as composed } from './stack-composed.mjs'

export { login } from './stack-composed.mjs'

export const create = (url) => composed(url, { local: true })
