export { compose } from './middleware.js'
