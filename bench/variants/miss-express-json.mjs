import express from 'express'
import { payload } from './payload.mjs'

/** An app in which every request is for another URL, so that nothing is ever found. */
export function everyoneAnother() {
  let requests = 0
  return express().use((req, _res, next) => {
    req.originalUrl = `/?n=${++requests}`
    next()
  })
}

export const create = () => everyoneAnother().get('/', (_req, res) => void res.json(payload))
