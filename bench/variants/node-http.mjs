import { createServer } from 'node:http'
import { payload } from './payload.mjs'

const body = Buffer.from(JSON.stringify(payload))
const head = ['Content-Type', 'application/json; charset=utf-8', 'Content-Length', String(body.length)]

export const create = () => createServer((_req, res) => res.writeHead(200, head).end(body))
