import { X509Certificate } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Redis } from 'ioredis'
import { startRedis } from './redis-server.js'
import { createCertificates } from './tls.js'

test('the certificate is signed by the throw-away authority and names 127.0.0.1', async () => {
  const { ca, cert, paths } = await createCertificates()
  const certificate = new X509Certificate(cert)
  expect(certificate.verify(new X509Certificate(ca).publicKey)).toBe(true)
  expect(certificate.checkIP('127.0.0.1')).toBe('127.0.0.1')
  await rm(dirname(paths.ca), { recursive: true })
})

test('a TLS server serves clients that trust its authority and no others', async () => {
  const server = await startRedis({ tls: true })
  expect(server.url).toMatch(/^rediss:/)
  const trusting = new Redis(server.url, { tls: { ca: server.ca as string } })
  expect(await trusting.ping()).toBe('PONG')
  trusting.disconnect()

  const wary = new Redis(server.url, { lazyConnect: true, retryStrategy: () => null })
  const refused = new Promise<Error>((resolve) => wary.once('error', resolve))
  await expect(wary.connect()).rejects.toThrow()
  expect((await refused).message).toMatch(/certificate/)
  await server.stop()
})
