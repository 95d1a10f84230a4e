import { createServer } from 'node:net'
import { freeClusterPort, freePort } from './free-port.js'

test('twenty ports asked for at once are all different and can be listened on', async () => {
  const ports = await Promise.all(Array.from({ length: 20 }, () => freePort()))
  expect(new Set(ports).size).toBe(20)
  for (const port of ports) {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    await new Promise((resolve) => server.close(resolve))
  }
})

test('a cluster port leaves room for its bus', async () => {
  expect(await freeClusterPort()).toBeLessThan(55_535)
})
