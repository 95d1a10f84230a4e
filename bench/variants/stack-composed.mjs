import { compose } from 'holdfast/compose'
import { stackApp } from './stack-app.mjs'
import { stackOf } from './stack-holdfast.mjs'

export const login = '/login'

export async function create(url, options) {
  const { limit, session, cache } = await stackOf(url, options)
  return stackApp(session, [compose(limit, session, cache)])
}
