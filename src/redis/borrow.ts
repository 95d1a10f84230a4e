import { ConfigurationError } from '../shared/errors.js'
import { isCluster, type RedisClient } from './client.js'

/** Settings of a borrowed client that would break a promise of the manager. Throws for those nothing can mend. */
export function risksOf(client: RedisClient): { code: string; message: string }[] {
  const options = (isCluster(client) ? client.options.redisOptions : client.options) ?? {}
  const prefix = (client.options as { keyPrefix?: string }).keyPrefix
  if (prefix) {
    throw new ConfigurationError(
      'createRedisManager',
      'client',
      'must not have a keyPrefix: it is not applied to SCAN, channels or client tracking; give keyPrefix to the manager',
    )
  }
  const risks: { code: string; message: string }[] = []
  if (options.autoResendUnfulfilledCommands !== false) {
    risks.push({
      code: 'HOLDFAST_CLIENT_RESENDS',
      message: 'the client resends commands after a reconnect and may run them twice: autoResendUnfulfilledCommands',
    })
  }
  if (!isCluster(client) && options.socketTimeout === undefined) {
    risks.push({
      code: 'HOLDFAST_CLIENT_NO_WATCHDOG',
      message: 'the client has no socketTimeout: a hung server is noticed, but its connection is never replaced',
    })
  }
  return risks
}
