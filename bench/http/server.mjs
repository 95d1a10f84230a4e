import { createServer } from 'node:http'

const [name, url] = process.argv.slice(2)
const variant = await import(`../variants/${name}.mjs`)
const made = await variant.create(url)
const server = typeof made === 'function' ? createServer(made) : made
server.listen(0, '127.0.0.1', () =>
  process.send({ port: server.address().port, login: variant.login, status: variant.status, headers: variant.headers }),
)
process.on('message', () => process.send({ cpu: process.cpuUsage() }))
