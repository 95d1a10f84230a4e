import apicache from 'apicache'
import express from 'express'
import { large } from './payload.mjs'

export const create = () => express().get('/', apicache.middleware('1 hour'), (_req, res) => void res.json(large))
