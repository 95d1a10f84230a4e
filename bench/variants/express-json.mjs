import express from 'express'
import { payload } from './payload.mjs'

export const create = () => express().get('/', (_req, res) => void res.json(payload))
