import apicache from 'apicache'
import { everyoneAnother } from './miss-express-json.mjs'
import { payload } from './payload.mjs'

export const create = () =>
  everyoneAnother().get('/', apicache.middleware('10 seconds'), (_req, res) => void res.json(payload))
