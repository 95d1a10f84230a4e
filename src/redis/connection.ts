import { Cluster, type ClusterOptions, type CommonRedisOptions, Redis, type RedisOptions } from 'ioredis'
import { isCluster, masters, type RedisClient } from './client.js'
import { replyText } from './describe.js'
import { keepConnecting, sentinelOptions } from './sentinel.js'
import type { Credentials, Settings, Target } from './settings.js'

/**
 * What a connection is for. `command`: the shared one. `subscriber`: pub/sub. `blocking`: commands that wait on
 * purpose, so no watchdog. `worker`: waits for Redis however long it is away and sends again what was in flight, for
 * libraries that expect so. `tracking`: RESP2, because ioredis 6 drops the invalidation pushes of RESP3.
 */
export type ConnectionRole = 'command' | 'subscriber' | 'blocking' | 'worker' | 'tracking'

/** Longer than any command of a worker blocks. */
const PATIENT = {
  enableOfflineQueue: true,
  maxRetriesPerRequest: null,
  autoResendUnfulfilledCommands: true,
  socketTimeout: 15_000,
}

/**
 * The timers of ioredis fire before the socket is read, so that an event loop that was blocked for as long loses a
 * healthy connection. The owners of connections notice a silent server sooner, and fairly.
 */
const BACKSTOP_MS = 5000

type Shared = Omit<CommonRedisOptions, 'replyMapping'> & { readonly disconnectTimeout?: number }

/** Opens connections with the settings under which nothing waits for ever, is lost, or is sent twice. */
export function connect(settings: Settings, role: ConnectionRole): RedisClient {
  return guard(open(settings.target, settings, role))
}

/**
 * Opens a connection that does not reconnect by itself: its owner opens the next one, on a Cluster to another master.
 * `undefined` while a Cluster's nodes are not known.
 */
export function connectOnce(settings: Settings, role: ConnectionRole, to: RedisClient): Redis | undefined {
  const nodes = masters(to)
  const source = nodes[Math.floor(Math.random() * nodes.length)]
  if (source === undefined) return undefined
  return guard(
    source.duplicate({
      ...optionsFor(settings, role),
      retryStrategy: () => null,
      commandTimeout: undefined,
      readOnly: false,
    }),
  )
}

function guard<Client extends RedisClient>(client: Client): Client {
  // Without a listener ioredis prints every failed attempt.
  client.on('error', (error: Error & { command?: { name?: string } }) => {
    // ioredis goes on after a refused SELECT, in database 0: another application's.
    if (error.command?.name === 'select') client.disconnect(true)
  })
  return client
}

function open(target: Target, settings: Settings, role: ConnectionRole): RedisClient {
  const options = optionsFor(settings, role)
  switch (target.kind) {
    case 'standalone':
      return new Redis({ ...options, ...credentials(target), host: target.host, port: target.port })
    case 'sentinel':
      return keepConnecting(new Redis({ ...options, ...credentials(target), ...sentinelOptions(target) }))
    case 'cluster':
      return new Cluster(
        target.nodes.map(({ host, port = 6379 }) => ({ host, port })),
        { ...clusterOptions(settings, role), redisOptions: { ...nodeOptions(options), ...credentials(target) } },
      )
    case 'borrowed':
      return isCluster(target.client)
        ? target.client.duplicate([], { ...clusterOptions(settings, role), redisOptions: nodeOptions(options) })
        : target.client.duplicate(options)
    case 'none':
      throw new Error('no Redis is configured')
  }
}

function clusterOptions({ connectTimeout }: Settings, role: ConnectionRole): ClusterOptions {
  return {
    enableOfflineQueue: role === 'worker',
    lazyConnect: false,
    clusterRetryStrategy: () => 100,
    maxRedirections: 3,
    // ioredis would send commands again that were in flight on a lost connection, though they may have run.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 50,
    retryDelayOnTryAgain: 50,
    slotsRefreshTimeout: connectTimeout,
    slotsRefreshInterval: 5000,
  }
}

/** A node that is given up takes the commands along that wait for it, and no retry of ours follows. */
function nodeOptions(options: Shared): Shared {
  return { ...options, connectTimeout: Math.max(options.connectTimeout ?? 0, BACKSTOP_MS) }
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
    socketTimeout: role === 'blocking' ? undefined : Math.max(connectTimeout, BACKSTOP_MS),
    commandTimeout: undefined,
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt - 1, 3), 400) + Math.floor(Math.random() * 50),
    reconnectOnError: (error) => (/^(READONLY|LOADING|MASTERDOWN)/.test(replyText(error.message)) ? 1 : false),
    keepAlive: 10_000,
    // While the server reads its file after a start, ask again this often instead of after its own estimate.
    maxLoadingRetryTime: 250,
    // A hung server never returns the FIN; ioredis would keep the process alive for two seconds to wait for it.
    disconnectTimeout: 10,
    ...(role === 'tracking' ? { protocol: 2 as const } : {}),
    ...(role === 'worker' ? PATIENT : {}),
  }
}

function credentials({ username, password, db, tls }: Credentials): Shared & Pick<RedisOptions, 'tls'> {
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(db === undefined ? {} : { db }),
    ...(tls === undefined ? {} : { tls }),
  }
}
