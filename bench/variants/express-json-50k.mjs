import express from 'express'
import { large } from './payload.mjs'

export const create = () => express().get('/', (_req, res) => void res.json(large))
