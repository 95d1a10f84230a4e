import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisClient } from '../redis/index.js'
import { toMs } from '../shared/duration.js'
import { checkOptions, requireOptions } from '../shared/options.js'
import { PreferenceConflictError, PreferenceValueError } from './errors.js'
import { LocalTier } from './local.js'
import { createObserver } from './observe.js'
import { localRules, type PreferencesOptions, preferencesRules } from './options.js'
import { createSchema, parse } from './schema.js'
import { eraseScript, writeScript } from './scripts.js'

/** What users chose, by user and key; what they did not choose has the default. */
export interface Preferences<Values extends object> {
  /** One value. Never rejects because of Redis: while it is away, the last value known here, else the default. */
  get<Key extends keyof Values & string>(user: string | number, key: Key): Promise<Values[Key]>
  /** All values, as {@link Preferences.get}. The object is the caller's own. */
  all(user: string | number): Promise<Values>
  /** All values as Redis has them now, and their version for {@link Preferences.compareAndSet}. */
  read(user: string | number): Promise<{ readonly values: Values; readonly version: string }>
  /** Rejects, as every write, with `RedisUnavailableError` where it was not, or perhaps not, written. */
  set<Key extends keyof Values & string>(user: string | number, key: Key, value: Values[Key]): Promise<void>
  /** All or none, in one write. */
  setMany(user: string | number, values: Partial<Values>): Promise<void>
  /** As {@link Preferences.setMany}, if nobody has written since `version` was read; else resolves to false. */
  compareAndSet(user: string | number, version: string, values: Partial<Values>): Promise<boolean>
  /**
   * Reads, changes, and writes if nobody else has written meanwhile, else tries again, up to 10 times. Resolves to the
   * values after the change. Rejects with `PreferenceConflictError` where others were always faster.
   */
  update(user: string | number, change: (values: Values) => Partial<Values> | Promise<Partial<Values>>): Promise<Values>
  /** Back to the defaults: the named keys, or all. */
  reset(user: string | number, ...keys: (keyof Values & string)[]): Promise<void>
  /** Everything stored of a user, also under keys that are no preferences any more; without defaults. */
  export(user: string | number): Promise<Record<string, unknown>>
  /** Removes everything stored of a user. True where there was something. */
  erase(user: string | number): Promise<boolean>
  /** Stops listening for changes by other processes. Idempotent. */
  close(): void
}

/** JSON by key as stored, and the version. */
interface Stored {
  readonly texts: readonly (string | null)[]
  readonly version: string
}

interface Found {
  readonly stored: Stored
  readonly from: 'local' | 'redis' | 'stale' | 'default'
}

const NOTHING: Stored = { texts: [], version: '' }
const ATTEMPTS = 10
/** So that those who write at the same time part. */
const PAUSE_MS = 10

/**
 * Throws a `ConfigurationError` for options out of their range, and for defaults that are not JSON.
 *
 * @example
 * ```ts
 * import { createPreferences, createRedisManager } from 'holdfast'
 *
 * const redis = createRedisManager()
 * const preferences = createPreferences({ redis, defaults: { theme: 'light', pageSize: 20, tags: ['news'] } })
 * await preferences.set('ann', 'theme', 'dark')
 * const { theme, pageSize } = await preferences.all('ann')
 * ```
 */
export function createPreferences<Values extends object>(options: PreferencesOptions<Values>): Preferences<Values> {
  checkOptions('createPreferences', options, preferencesRules as never)
  requireOptions('createPreferences', options, preferencesRules as never, 'redis', 'defaults')
  const { redis, name = 'default', local = {} } = options
  if (local !== false) checkOptions('createPreferences', local, localRules)
  const schema = createSchema(options as PreferencesOptions<object>)
  const { ttl = '5s', maxBytes = 4 * 1024 * 1024 } = local === false ? { ttl: 0, maxBytes: 0 } : local
  const tier = new LocalTier<Stored>(toMs(ttl), maxBytes, sizeOf)
  const channel = redis.keys.key('preferences', name, 'changed')
  const fields = ['', ...schema.keys]
  const observe = createObserver(redis, name)
  const undo: (() => void)[] = []
  let closed = false

  /** At the first read: who only writes needs no second connection. */
  function listen(): void {
    if (local === false || closed || undo.length > 0) return
    const subscription = redis.subscriber.subscribe(channel, (key) => tier.forget(key), { onGap: () => tier.clear() })
    // What others changed before messages arrive was not heard of.
    const restart = (): void => {
      tier.clear()
      void subscription.ready().then(() => tier.clear())
    }
    restart()
    undo.push(() => subscription.close(), redis.on('up', restart), redis.on('recovered', restart))
  }

  function keyOf(user: string | number): string {
    const text = typeof user === 'number' && Number.isFinite(user) ? String(user) : user
    if (typeof text !== 'string' || text === '')
      throw new PreferenceValueError('user', 'must be a non-empty text or a number')
    return redis.keys.key('preferences', name, 'user', text)
  }

  async function fetch(client: RedisClient, key: string): Promise<Stored> {
    const [version, ...texts] = await client.hmget(key, ...fields)
    return { texts, version: version ?? '' }
  }

  /** What is known: from here, from Redis, else the last that was known here. */
  async function find(key: string): Promise<Found> {
    const fresh = tier.fresh(key)
    if (fresh !== undefined) return { stored: fresh, from: 'local' }
    const ask = (): Promise<Stored | undefined> =>
      redis.attempt<Stored | undefined>(
        'preferences.get',
        (client) => fetch(client, key),
        () => undefined,
      )
    const read = await tier.read(key, ask)
    if (read !== undefined) return { stored: read, from: 'redis' }
    const last = tier.last(key)
    return last === undefined ? { stored: NOTHING, from: 'default' } : { stored: last, from: 'stale' }
  }

  async function look(user: string | number): Promise<Stored> {
    const key = keyOf(user)
    listen()
    const { stored } = await observe(
      'get',
      () => find(key),
      ({ from }) => from,
    )
    return stored
  }

  function valueIn(stored: Stored, key: string): unknown {
    const text = stored.texts[schema.keys.indexOf(key)]
    if (typeof text === 'string') {
      const value = schema.decode(key, text)
      if (value !== undefined) return value
      redis.emit('data.corrupt', {
        feature: 'preferences',
        problem: 'a stored value is not allowed; the default was given',
      })
    }
    return schema.defaultOf(key)
  }

  function valuesIn(stored: Stored): Values {
    return Object.fromEntries(schema.keys.map((key) => [key, valueIn(stored, key)])) as Values
  }

  async function read(user: string | number): Promise<Stored> {
    const key = keyOf(user)
    return observe(
      'read',
      () => redis.execute('preferences.read', (client) => fetch(client, key)),
      () => 'redis',
    )
  }

  async function write(
    user: string | number,
    version: string,
    values: object,
    removed: readonly string[],
  ): Promise<boolean> {
    const key = keyOf(user)
    if (typeof values !== 'object' || values === null) throw new PreferenceValueError('values', 'must be an object')
    const pairs = Object.entries(values).flatMap(([name, value]) => [name, schema.encode(name, value)])
    if (pairs.length === 0 && removed.length === 0 && version === '*') return true
    const args = [newVersion(), version, channel, pairs.length / 2, ...pairs, ...removed]
    return observe(
      'write',
      () => changing(key, 'preferences.write', (client) => writeScript.run(client, [key], args)),
      (written) => (written ? 'written' : 'conflict'),
    )
  }

  /** Reads that were sent before the reply may have found what was there before. */
  async function changing(
    key: string,
    operation: string,
    send: (client: RedisClient) => Promise<number>,
  ): Promise<boolean> {
    let sent = false
    const forget = (): void => tier.forget(key)
    try {
      const reply = await redis.execute(operation, (client) => {
        sent = true
        forget()
        const reply = send(client)
        // It may be done long after its deadline.
        void reply.then(forget, forget)
        return reply
      })
      return reply > 0
    } finally {
      if (sent) forget()
    }
  }

  function known(key: string): string {
    if (!schema.keys.includes(key)) throw new PreferenceValueError('key', 'is not one of the preferences')
    return key
  }

  return {
    async get(user, key) {
      known(key)
      return valueIn(await look(user), key) as Values[typeof key]
    },
    all: async (user) => valuesIn(await look(user)),
    async read(user) {
      const stored = await read(user)
      return { values: valuesIn(stored), version: stored.version }
    },
    async set(user, key, value) {
      await write(user, '*', Object.fromEntries([[key, value]]), [])
    },
    async setMany(user, values) {
      await write(user, '*', values, [])
    },
    async compareAndSet(user, version, values) {
      if (typeof version !== 'string' || version === '*')
        throw new PreferenceValueError('version', 'must be one that was read')
      return write(user, version, values, [])
    },
    async update(user, change) {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const stored = await read(user)
        const changed = await change(valuesIn(stored))
        if (await write(user, stored.version, changed, [])) return { ...valuesIn(stored), ...changed }
        await sleep(Math.random() * PAUSE_MS * (attempt + 1))
      }
      throw new PreferenceConflictError(ATTEMPTS)
    },
    async reset(user, ...keys) {
      await write(user, '*', {}, keys.length === 0 ? schema.keys : keys.map(known))
    },
    async export(user) {
      const key = keyOf(user)
      const stored = await observe(
        'export',
        () => redis.execute('preferences.export', (client) => client.hgetall(key)),
        () => 'redis',
      )
      const pairs = Object.entries(stored).filter(([field]) => field !== '')
      return Object.fromEntries(pairs.map(([field, text]) => [field, parse(text) ?? text]))
    },
    erase: async (user) => {
      const key = keyOf(user)
      return observe(
        'erase',
        () => changing(key, 'preferences.erase', (client) => eraseScript.run(client, [key], [channel])),
        () => 'written',
      )
    },
    close() {
      closed = true
      for (const stop of undo.splice(0)) stop()
      tier.clear()
    },
  }
}

/** Never one that was there before: a counter would come again after `erase`. */
function newVersion(): string {
  return randomBytes(9).toString('base64url')
}

function sizeOf({ texts }: Stored): number {
  return texts.reduce((sum, text) => sum + 2 * (text?.length ?? 0) + 8, 0)
}
