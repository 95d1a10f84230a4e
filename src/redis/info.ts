/** One server's INFO as numbers. What the server does not report is `undefined`. */
export interface ServerStats {
  readonly version: string | undefined
  readonly role: 'master' | 'replica' | undefined
  readonly uptimeSeconds: number | undefined
  readonly clients: {
    readonly connected: number | undefined
    readonly blocked: number | undefined
    readonly max: number | undefined
  }
  readonly memory: {
    readonly usedBytes: number | undefined
    readonly peakBytes: number | undefined
    /** 0: no limit. */
    readonly maxBytes: number | undefined
    /** Used ÷ limit, from 0 to 1; `undefined` without a limit. */
    readonly usedRatio: number | undefined
    readonly fragmentationRatio: number | undefined
    readonly policy: string | undefined
  }
  readonly traffic: {
    readonly operationsPerSecond: number | undefined
    readonly commands: number | undefined
    readonly connections: number | undefined
    readonly rejectedConnections: number | undefined
    readonly hits: number | undefined
    readonly misses: number | undefined
    /** Hits ÷ (hits + misses) since the server's start; `undefined` before the first. */
    readonly hitRatio: number | undefined
    readonly expiredKeys: number | undefined
    readonly evictedKeys: number | undefined
  }
  readonly replication: {
    readonly replicas: number | undefined
    /** Bytes that the slowest online replica is behind. */
    readonly lagBytes: number | undefined
  }
  readonly keys: number
  readonly keysWithTtl: number
  /** By command name. */
  readonly commands: Readonly<Record<string, CommandStats>>
}

export interface CommandStats {
  readonly calls: number
  readonly microsecondsPerCall: number
  readonly failed: number
  /** Time within the server, in microseconds; `undefined` before Redis 7 or where it is switched off. */
  readonly p50Microseconds: number | undefined
  readonly p99Microseconds: number | undefined
}

/** Parses the text of INFO. Unknown, missing and malformed fields are left out: servers and their forks differ. */
export function parseInfo(text: string): ServerStats {
  const fields = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':')
    if (colon > 0 && !line.startsWith('#')) fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  const number = (name: string): number | undefined => finite(fields.get(name))
  const used = number('used_memory')
  const max = number('maxmemory')
  const hits = number('keyspace_hits')
  const misses = number('keyspace_misses')
  const asked = (hits ?? 0) + (misses ?? 0)
  const role = fields.get('role')
  return {
    version: fields.get('redis_version'),
    role: role === 'master' ? 'master' : role === undefined ? undefined : 'replica',
    uptimeSeconds: number('uptime_in_seconds'),
    clients: { connected: number('connected_clients'), blocked: number('blocked_clients'), max: number('maxclients') },
    memory: {
      usedBytes: used,
      peakBytes: number('used_memory_peak'),
      maxBytes: max,
      usedRatio: used !== undefined && max ? used / max : undefined,
      fragmentationRatio: number('mem_fragmentation_ratio'),
      policy: fields.get('maxmemory_policy'),
    },
    traffic: {
      operationsPerSecond: number('instantaneous_ops_per_sec'),
      commands: number('total_commands_processed'),
      connections: number('total_connections_received'),
      rejectedConnections: number('rejected_connections'),
      hits,
      misses,
      hitRatio: asked > 0 ? (hits ?? 0) / asked : undefined,
      expiredKeys: number('expired_keys'),
      evictedKeys: number('evicted_keys'),
    },
    replication: { replicas: number('connected_slaves'), lagBytes: lagOf(fields) },
    ...keyspaceOf(fields),
    commands: commandsOf(fields),
  }
}

function finite(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  const value = Number(text)
  return Number.isFinite(value) ? value : undefined
}

/** `a=1,b=2` */
function pairs(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split(',').map((pair) => {
      const equals = pair.indexOf('=')
      return [pair.slice(0, equals), pair.slice(equals + 1)]
    }),
  )
}

function lagOf(fields: ReadonlyMap<string, string>): number | undefined {
  const offset = finite(fields.get('master_repl_offset'))
  const lags = [...fields]
    .filter(([name]) => /^slave\d+$/.test(name))
    .map(([, value]) => pairs(value))
    .filter((replica) => replica.get('state') === 'online')
    .map((replica) => (offset ?? 0) - (finite(replica.get('offset')) ?? 0))
  return offset === undefined || lags.length === 0 ? undefined : Math.max(0, ...lags)
}

function keyspaceOf(fields: ReadonlyMap<string, string>): { keys: number; keysWithTtl: number } {
  let keys = 0
  let keysWithTtl = 0
  for (const [name, value] of fields) {
    if (!/^db\d+$/.test(name)) continue
    const entry = pairs(value)
    keys += finite(entry.get('keys')) ?? 0
    keysWithTtl += finite(entry.get('expires')) ?? 0
  }
  return { keys, keysWithTtl }
}

function commandsOf(fields: ReadonlyMap<string, string>): Record<string, CommandStats> {
  const commands: Record<string, CommandStats> = Object.create(null)
  for (const [name, value] of fields) {
    if (!name.startsWith('cmdstat_')) continue
    const entry = pairs(value)
    const command = name.slice('cmdstat_'.length)
    const latency = pairs(fields.get(`latency_percentiles_usec_${command}`) ?? '')
    commands[command] = {
      calls: finite(entry.get('calls')) ?? 0,
      microsecondsPerCall: finite(entry.get('usec_per_call')) ?? 0,
      failed: (finite(entry.get('failed_calls')) ?? 0) + (finite(entry.get('rejected_calls')) ?? 0),
      p50Microseconds: finite(latency.get('p50')),
      p99Microseconds: finite(latency.get('p99')),
    }
  }
  return commands
}
