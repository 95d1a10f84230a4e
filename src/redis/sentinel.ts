import { type Redis, type RedisOptions, SentinelConnector } from 'ioredis'
import type { Target } from './settings.js'

/** How to find the master: by asking sentinels, and by listening to them for its replacement. */
export function sentinelOptions(target: Extract<Target, { kind: 'sentinel' }>): Omit<RedisOptions, 'replyMapping'> {
  const { name, nodes, sentinelUsername, sentinelPassword, tls, sentinelTls } = target
  return {
    name,
    sentinels: nodes.map(({ host, port = 26_379 }) => ({ host, port })),
    ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
    // ioredis ignores `tls` here unless told twice, and would send the password in the clear.
    enableTLSForSentinelMode: tls !== undefined,
    ...(sentinelTls === undefined ? {} : { sentinelTLS: sentinelTls }),
    sentinelCommandTimeout: 500,
    sentinelRetryStrategy: () => 200,
    sentinelReconnectStrategy: () => 1000,
    // A stopped master keeps its TCP connection: only the sentinels know that it was replaced.
    failoverDetector: true,
    Connector: QuietSentinelConnector,
  }
}

const RECONNECT_AFTER = 200

/**
 * Connects again where ioredis gives up: news of a failover that come while it asks the sentinels for the master end
 * the client as if somebody had closed it.
 */
export function keepConnecting(client: Redis): Redis {
  let closed = false
  const disconnect = client.disconnect.bind(client)
  client.disconnect = (reconnect = false) => {
    closed ||= !reconnect
    disconnect(reconnect)
  }
  return client.on('end', () => {
    const again = (): void => {
      if (!closed && client.status === 'end') client.connect().catch(() => {})
    }
    setTimeout(again, RECONNECT_AFTER).unref()
  })
}

type ConnectToSentinel = (endpoint: unknown, options?: object) => { on(event: 'error', listener: () => void): void }

/** ioredis prints every error of the sentinels it listens to, and waits two seconds for a hung one to say goodbye. */
class QuietSentinelConnector extends SentinelConnector {
  constructor(options: unknown) {
    super(options as ConstructorParameters<typeof SentinelConnector>[0])
    const connector = this as unknown as { connectToSentinel: ConnectToSentinel }
    const connect = connector.connectToSentinel.bind(this)
    connector.connectToSentinel = (endpoint, overrides) => {
      const client = connect(endpoint, { disconnectTimeout: 50, ...overrides })
      client.on('error', () => {})
      return client
    }
  }
}
