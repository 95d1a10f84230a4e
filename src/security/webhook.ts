import { createHmac } from 'node:crypto'

export interface WebhookOptions {
  /** `https:`, or `http:` inside your own network. */
  readonly url: string
  /** Signs every request as Standard Webhooks describes: `webhook-signature: v1,<base64>`. At least 16 characters. */
  readonly secret: string
  /** Attempts after the first, with growing pauses. @default 4 */
  readonly retries?: number | undefined
}

export interface Webhook {
  /** Never rejects; false where it was not delivered. */
  send(id: string, body: string): Promise<boolean>
  close(): void
}

const TIMEOUT_MS = 5000
const FIRST_PAUSE_MS = 500
const MAX_PENDING = 100

/**
 * Delivers alerts, each signed and at least once while this process lives. Retried are lost connections, timeouts, 408,
 * 429 and 5xx; anything else is an answer. Redirects are not followed: a signature is for one address.
 */
export function createWebhook(
  { url, secret, retries = 4 }: WebhookOptions,
  pause: (ms: number) => Promise<void> = wait,
): Webhook {
  const closing = new AbortController()
  let pending = 0

  async function post(id: string, body: string): Promise<boolean | 'retry'> {
    const timestamp = String(Math.floor(Date.now() / 1000))
    try {
      const { status } = await fetch(url, {
        method: 'POST',
        body,
        redirect: 'manual',
        signal: AbortSignal.any([closing.signal, AbortSignal.timeout(TIMEOUT_MS)]),
        headers: {
          'Content-Type': 'application/json',
          'webhook-id': id,
          'webhook-timestamp': timestamp,
          'webhook-signature': signWebhook(secret, id, timestamp, body),
        },
      })
      return status === 408 || status === 429 || status >= 500 ? 'retry' : status >= 200 && status < 300
    } catch {
      return 'retry'
    }
  }

  return {
    async send(id, body) {
      // A receiver that is down must not collect the alerts of a whole attack in memory.
      if (pending >= MAX_PENDING) return false
      pending++
      try {
        for (let attempt = 0; ; attempt++) {
          const result = await post(id, body)
          if (result !== 'retry') return result
          if (attempt >= retries || closing.signal.aborted) return false
          await pause(FIRST_PAUSE_MS * 2 ** attempt * (0.5 + Math.random() / 2))
        }
      } finally {
        pending--
      }
    },
    close: () => closing.abort(),
  }
}

/** The signature of https://www.standardwebhooks.com: HMAC-SHA256 over `id.timestamp.body`. */
export function signWebhook(secret: string, id: string, timestamp: string, body: string): string {
  return `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')}`
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}
