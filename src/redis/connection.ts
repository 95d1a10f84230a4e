import { Cluster, type CommonRedisOptions, Redis, type RedisOptions } from 'ioredis'
import { masters, type RedisClient } from './client.js'
import type { Settings, Target } from './settings.js'

/**
 * What a connection is for. `command`: the shared one. `subscriber`: pub/sub. `blocking`: commands that wait on
 * purpose, so no watchdog. `tracking`: RESP2, because ioredis 6 drops the invalidation pushes of RESP3.
 */
export type ConnectionRole = 'command' | 'subscriber' | 'blocking' | 'tracking'

type Shared = Omit<CommonRedisOptions, 'replyMapping'>

/** Opens connections with the settings under which nothing waits for ever, is lost, or is sent twice. */
export function connect(settings: Settings, role: ConnectionRole): RedisClient {
  const { target } = settings
  const client = open(target, settings, role)
  // Without a listener ioredis prints every failed attempt.
  client.on('error', () => {})
  return client
}

/**
 * Opens a connection that does not reconnect by itself: its owner opens the next one, on a Cluster to another master.
 * `undefined` while a Cluster's nodes are not known.
 */
export function connectOnce(settings: Settings, role: ConnectionRole, to: RedisClient): Redis | undefined {
  const nodes = masters(to)
  const source = nodes[Math.floor(Math.random() * nodes.length)]
  const client = source?.duplicate({
    ...optionsFor(settings, role),
    retryStrategy: () => null,
    commandTimeout: undefined,
    readOnly: false,
  })
  client?.on('error', () => {})
  return client
}

function open(target: Target, settings: Settings, role: ConnectionRole): RedisClient {
  const options = optionsFor(settings, role)
  switch (target.kind) {
    case 'standalone':
      return new Redis({ ...options, ...credentials(target), host: target.host, port: target.port })
    case 'sentinel':
      return new Redis({
        ...options,
        ...credentials(target),
        name: target.name,
        sentinels: target.nodes.map(({ host, port = 26_379 }) => ({ host, port })),
        ...(target.sentinelUsername === undefined ? {} : { sentinelUsername: target.sentinelUsername }),
        ...(target.sentinelPassword === undefined ? {} : { sentinelPassword: target.sentinelPassword }),
        sentinelCommandTimeout: 500,
        sentinelRetryStrategy: () => 200,
        sentinelReconnectStrategy: () => 1000,
        // A stopped master keeps its TCP connection: only the sentinels know that it was replaced.
        failoverDetector: true,
      })
    case 'cluster':
      return new Cluster(
        target.nodes.map(({ host, port = 6379 }) => ({ host, port })),
        {
          enableOfflineQueue: false,
          clusterRetryStrategy: () => 100,
          maxRedirections: 3,
          retryDelayOnFailover: 50,
          retryDelayOnClusterDown: 50,
          retryDelayOnTryAgain: 50,
          slotsRefreshTimeout: settings.connectTimeout,
          slotsRefreshInterval: 2000,
          // Node clients force their own offline queue, so here only commandTimeout bounds a hung node.
          redisOptions: { ...options, ...credentials(target), commandTimeout: 500 },
        },
      )
    case 'borrowed':
      return duplicate(target.client, options)
    case 'none':
      throw new Error('no Redis is configured')
  }
}

function duplicate(client: RedisClient, options: Shared): RedisClient {
  if ('nodes' in client) return client.duplicate([], { enableOfflineQueue: false })
  return client.duplicate(options)
}

function optionsFor({ connectTimeout }: Settings, role: ConnectionRole): Shared {
  return {
    connectionName: `holdfast:${role}`,
    lazyConnect: false,
    // These three only together: apart they lose or repeat commands (ioredis #2193).
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    connectTimeout,
    // The only watchdog that sees a server which accepts connections and then says nothing.
    ...(role === 'blocking' ? {} : { socketTimeout: Math.max(connectTimeout, 1000) }),
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt - 1, 3), 400) + Math.floor(Math.random() * 50),
    reconnectOnError: (error) => (/^(READONLY|LOADING|MASTERDOWN)/.test(error.message) ? 1 : false),
    keepAlive: 10_000,
    ...(role === 'tracking' ? { protocol: 2 as const } : {}),
  }
}

function credentials(
  target: Extract<Target, { host?: unknown } | { nodes: unknown }>,
): Shared & Pick<RedisOptions, 'tls'> {
  const { username, password, db, tls } = target
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(db === undefined ? {} : { db }),
    ...(tls === undefined ? {} : { tls }),
  }
}
