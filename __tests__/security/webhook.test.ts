import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import { createWebhook, signWebhook } from '../../src/security/webhook.js'

const SECRET = 'a webhook secret for tests'
let server: Server | undefined
afterEach(async () => {
  const closing = server
  server = undefined
  closing?.closeAllConnections()
  if (closing !== undefined) await new Promise((resolve) => closing.close(resolve))
})

interface Received {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Answers with the statuses in turn; 0 destroys the connection. */
async function receiver(...statuses: number[]): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = []
  const listening = createServer((req, res) => {
    let body = ''
    req.on('data', (chunk) => {
      body += chunk
    })
    req.on('end', () => {
      received.push({ headers: req.headers, body })
      const status = statuses[received.length - 1] ?? 200
      if (status === 0) return void req.socket.destroy()
      res.writeHead(status, status === 302 ? { Location: '/elsewhere' } : {}).end()
    })
  })
  server = listening
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(listening.address() as AddressInfo).port}/hook`, received }
}

const pauses: number[] = []
const noPause = (ms: number): Promise<void> => {
  pauses.push(ms)
  return Promise.resolve()
}

describe('webhook', () => {
  it('signs what it sends so that the receiver can tell it from a forgery', async () => {
    const { url, received } = await receiver()
    const hook = createWebhook({ url, secret: SECRET }, noPause)
    expect(await hook.send('event-1', '{"a":1}')).toBe(true)
    const [{ headers, body } = { headers: {}, body: '' }] = received
    expect(headers['webhook-id']).toBe('event-1')
    const timestamp = String(headers['webhook-timestamp'])
    expect(Math.abs(Number(timestamp) - Date.now() / 1000)).toBeLessThan(60)
    expect(headers['webhook-signature']).toBe(signWebhook(SECRET, 'event-1', timestamp, body))
    expect(headers['webhook-signature']).not.toBe(signWebhook(SECRET, 'event-1', timestamp, `${body} `))
  })

  it('tries again after lost connections, 5xx, 408 and 429, with growing pauses and the same id', async () => {
    const { url, received } = await receiver(0, 500, 429, 408, 204)
    pauses.length = 0
    expect(await createWebhook({ url, secret: SECRET }, noPause).send('e', '{}')).toBe(true)
    expect(received.map(({ headers }) => headers['webhook-id'])).toEqual(['e', 'e', 'e', 'e', 'e'])
    expect(pauses).toHaveLength(4)
    expect(pauses[3]).toBeGreaterThan(pauses[0] as number)
  })

  it.each([400, 401, 404, 302])('takes %d for an answer', async (status) => {
    const { url, received } = await receiver(status)
    expect(await createWebhook({ url, secret: SECRET }, noPause).send('e', '{}')).toBe(false)
    expect(received).toHaveLength(1)
  })

  it('gives up after its retries, and never rejects', async () => {
    const { url, received } = await receiver(500, 500, 500, 500)
    expect(await createWebhook({ url, secret: SECRET, retries: 2 }, noPause).send('e', '{}')).toBe(false)
    expect(received).toHaveLength(3)
    const nobody = createWebhook({ url: 'http://127.0.0.1:1/', secret: SECRET, retries: 1 }, noPause)
    expect(await nobody.send('e', '{}')).toBe(false)
  })
})
