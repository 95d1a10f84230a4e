import { ConfigurationError } from '../shared/errors.js'
import { isCluster, type RedisClient } from './client.js'

/** Settings of a borrowed client that would break a promise of the manager. Throws for those nothing can mend. */
export function risksOf(client: RedisClient): { code: string; message: string }[] {
  if ((client.options as { keyPrefix?: string }).keyPrefix) {
    throw new ConfigurationError(
      'createRedisManager',
      'client',
      'must not have a keyPrefix: it is not applied to SCAN, channels or client tracking; give keyPrefix to the manager',
    )
  }
  const [resends, setting] = isCluster(client)
    ? [client.options.retryDelayOnFailover !== 0, 'retryDelayOnFailover: 0']
    : [client.options.autoResendUnfulfilledCommands !== false, 'autoResendUnfulfilledCommands: false']
  const watched = isCluster(client) ? client.options.redisOptions : client.options
  const risks: { code: string; message: string }[] = []
  if (resends) {
    risks.push({
      code: 'HOLDFAST_CLIENT_RESENDS',
      message: `the client sends commands again after a lost connection and may run them twice; give it ${setting}`,
    })
  }
  if (watched?.socketTimeout === undefined) {
    risks.push({
      code: 'HOLDFAST_CLIENT_NO_WATCHDOG',
      message: 'the client never replaces the connection of a hung server; give it socketTimeout: 1000',
    })
  }
  return risks
}
