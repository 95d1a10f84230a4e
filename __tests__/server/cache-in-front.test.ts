import { runInFront } from './in-front-suites.js'

runInFront('front', ['adversary', 'http'])
