import type { RedisManager } from '../redis/index.js'
import type { DetectorAction, Subject } from './detectors/detector.js'
import type { Digest } from './digest.js'
import type { SecurityEvent } from './event.js'
import { subjectKey } from './watch.js'
import { createWebhook, type WebhookOptions } from './webhook.js'

/** What a detector found. */
export interface SecurityAlert {
  readonly detector: string
  /** The event recorded for it. */
  readonly event: SecurityEvent
  readonly subject: Subject
  /** What the detector is for. */
  readonly action: DetectorAction
  /** Whether it was done: only where `enforce` names the detector. */
  readonly enforced: boolean
  readonly count: number
  readonly because?: readonly string[]
}

export interface AlertsOptions {
  readonly redis: RedisManager
  readonly digest: Digest
  readonly onAlert: ((alert: SecurityAlert) => unknown) | undefined
  readonly webhook: WebhookOptions | undefined
}

export interface Alerts {
  /** Returns at once; delivered once per subject and cooldown by one process of the fleet. */
  raise(alert: SecurityAlert, cooldown: number): void
  close(): void
}

const TIMEOUT_MS = 5000
const MAX_RUNNING = 50

export function createAlerts({ redis, digest, onAlert, webhook }: AlertsOptions): Alerts {
  const hook = webhook === undefined ? undefined : createWebhook(webhook)
  let running = 0

  /** False where another process has the alert. Without Redis every process tells: twice is better than never. */
  function isFirst({ detector, subject }: SecurityAlert, cooldown: number): Promise<boolean> {
    const key = redis.keys.key('security', 'alerted', detector, digest('alerted', subjectKey(subject)))
    return redis.attempt(
      'security.alert',
      async (client) => (await client.set(key, '1', 'PX', Math.max(cooldown, 1), 'NX')) === 'OK',
      () => true,
    )
  }

  async function deliver(alert: SecurityAlert, cooldown: number): Promise<void> {
    if (!(await isFirst(alert, cooldown))) return
    redis.emit('security.alert', alert)
    const told = onAlert === undefined ? undefined : bounded(Promise.resolve().then(() => onAlert(alert)))
    const sent = hook?.send(alert.event.id, JSON.stringify(alert))
    await told
    if ((await sent) === false) {
      redis.warn('HOLDFAST_SECURITY_WEBHOOK', 'an alert could not be delivered to the webhook; it is in the log')
    }
  }

  return {
    raise(alert, cooldown) {
      if (running >= MAX_RUNNING) {
        redis.warn(
          'HOLDFAST_SECURITY_ALERTS',
          'alerts come faster than they are handled; the others are in the log only',
        )
        return
      }
      running++
      deliver(alert, cooldown)
        .catch((error: unknown) => {
          redis.warn('HOLDFAST_SECURITY_ON_ALERT', `onAlert failed: ${String((error as Error)?.name)}`)
        })
        .finally(() => {
          running--
        })
    },
    close: () => hook?.close(),
  }
}

/** A hook that hangs is left alone after a while. */
function bounded(work: Promise<unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, TIMEOUT_MS)
    timer.unref()
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
