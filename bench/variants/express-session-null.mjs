import session from 'express-session'
import { sessionApp } from './session-app.mjs'

export const login = '/login'

/** What express-session costs by itself: a store of one Map, which answers at once. */
class NullStore extends session.Store {
  #sessions = new Map()
  get(id, callback) {
    const json = this.#sessions.get(id)
    callback(null, json === undefined ? null : JSON.parse(json))
  }
  set(id, data, callback) {
    this.#sessions.set(id, JSON.stringify(data))
    callback?.()
  }
  touch(_id, _data, callback) {
    callback()
  }
  destroy(id, callback) {
    this.#sessions.delete(id)
    callback?.()
  }
}

export function create() {
  const store = new NullStore()
  return sessionApp(session({ store, secret: 'a secret for the benchmark', resave: false, saveUninitialized: false }))
}
