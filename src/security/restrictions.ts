import type { RedisManager } from '../redis/index.js'

/** What is refused or slowed down for a subject, for a while. */
export interface Restriction {
  readonly action: 'delay' | 'stepUp' | 'blockLogin' | 'block'
  readonly until: number
  /** How often it happened within a day: each time it lasts twice as long. */
  readonly strikes: number
  readonly detector: string
}

export interface RestrictionsOptions {
  readonly redis: RedisManager
  /** First duration in ms. */
  readonly duration: number
  readonly maxDuration: number
  readonly now: () => number
}

/**
 * The restrictions of all processes, held in each: asking is a look into a map, whatever Redis does. They spread by
 * pub/sub, and by reading all of them after a gap and from time to time.
 */
export interface Restrictions {
  find(subject: string, action: Restriction['action']): Restriction | undefined
  /** One that is in force is neither prolonged nor raised: attempts during a block must not lock its victim out for ever. */
  impose(subject: string, action: Restriction['action'], detector: string): Restriction | undefined
  lift(subject: string): Promise<boolean>
  list(): ReadonlyMap<string, Restriction>
  /** Reads all of them from Redis; false where that was not possible. */
  refresh(): Promise<boolean>
  close(): void
}

const MAX = 10_000
const REFRESH_MS = 10_000
const SETTLED_MS = 1500
const MEMORY_MS = 24 * 3_600_000
const ACTIONS: readonly Restriction['action'][] = ['delay', 'stepUp', 'blockLogin', 'block']

/** One of each action at a time: a delay must not stand in the way of a block. */
const nameOf = (subject: string, action: Restriction['action']): string => `${action}|${subject}`

export function createRestrictions({ redis, duration, maxDuration, now }: RestrictionsOptions): Restrictions {
  const all = new Map<string, Restriction>()
  /** News since the last reading began: it is newer than what was read. */
  const touched = new Set<string>()
  const unsent = new Map<string, Restriction | null>()
  const key = redis.keys.key('security', 'restrictions')
  let closed = false
  let sending: Promise<void> | undefined

  function keep(subject: string, restriction: Restriction): void {
    all.delete(subject)
    all.set(subject, restriction)
    if (all.size <= MAX) return
    const [oldest] = all.keys()
    if (oldest !== undefined) all.delete(oldest)
  }

  const subscription = redis.subscriber.subscribe(
    key,
    (message) => {
      const [subject, restriction] = decode(message)
      if (subject === undefined) return
      touched.add(subject)
      if (restriction === undefined) all.delete(subject)
      else keep(subject, restriction)
    },
    { onGap: () => void refresh() },
  )

  function send(): Promise<void> {
    sending ??= sendAll().finally(() => {
      sending = undefined
    })
    return sending
  }

  async function sendAll(): Promise<void> {
    while (redis.available) {
      const [next] = unsent
      if (next === undefined || !(await sendOne(...next))) return
      if (unsent.get(next[0]) === next[1]) unsent.delete(next[0])
    }
  }

  function sendOne(subject: string, restriction: Restriction | null): Promise<boolean> {
    const message = JSON.stringify([subject, restriction])
    return redis.attempt(
      'security.restrict',
      async (client) => {
        if (restriction === null) await client.hdel(key, subject)
        else await client.hset(key, subject, message)
        await client.publish(key, message)
        return true
      },
      () => false,
    )
  }

  const isNewer = (subject: string): boolean => touched.has(subject) || unsent.has(subject)

  function enqueue(subject: string, restriction: Restriction | null): Promise<void> {
    touched.add(subject)
    unsent.delete(subject)
    unsent.set(subject, restriction)
    if (unsent.size > MAX) {
      const [oldest] = unsent.keys()
      if (oldest !== undefined) unsent.delete(oldest)
    }
    return send()
  }

  async function refresh(): Promise<boolean> {
    if (closed) return false
    await send()
    touched.clear()
    const stored = await redis.attempt(
      'security.restrictions',
      (client) => client.hgetall(key),
      () => undefined,
    )
    if (stored === undefined) return false
    const forgotten: string[] = []
    for (const [field, message] of Object.entries(stored)) {
      const [subject, restriction] = decode(message)
      if (subject !== field || restriction === undefined || restriction.until + MEMORY_MS < now()) forgotten.push(field)
      else if (!isNewer(subject)) keep(subject, restriction)
    }
    for (const subject of all.keys()) if (!Object.hasOwn(stored, subject) && !isNewer(subject)) all.delete(subject)
    if (forgotten.length > 0) {
      await redis.attempt(
        'security.restrictions',
        (client) => client.hdel(key, ...forgotten),
        () => 0,
      )
    }
    return true
  }

  const timer = setInterval(() => void refresh(), REFRESH_MS)
  timer.unref()
  const onReturn = (): void => {
    void refresh()
    // What others publish before this process is subscribed again is not heard.
    setTimeout(() => void refresh(), SETTLED_MS).unref()
  }
  const offs = [redis.on('up', onReturn), redis.on('recovered', onReturn)]
  onReturn()

  return {
    find(subject, action) {
      const found = all.get(nameOf(subject, action))
      return found !== undefined && found.until > now() ? found : undefined
    },
    impose(subject, action, detector) {
      const name = nameOf(subject, action)
      const known = all.get(name)
      const time = now()
      if (known !== undefined && known.until > time) return undefined
      const strikes = known !== undefined && known.until + MEMORY_MS > time ? known.strikes + 1 : 1
      const lasting = Math.min(duration * 2 ** Math.min(strikes - 1, 30), maxDuration)
      const restriction = { action, until: time + lasting, strikes, detector }
      keep(name, restriction)
      void enqueue(name, restriction)
      return restriction
    },
    async lift(subject) {
      const names = ACTIONS.map((action) => nameOf(subject, action)).filter((name) => all.has(name))
      for (const name of names) {
        all.delete(name)
        void enqueue(name, null)
      }
      await send()
      return names.every((name) => !unsent.has(name))
    },
    list: () => new Map([...all].filter(([, { until }]) => until > now())),
    refresh,
    close() {
      closed = true
      clearInterval(timer)
      for (const off of offs) off()
      subscription.close()
    },
  }
}

/** Where nothing is enforced: no connection, no timer. */
export function unrestricted(): Restrictions {
  return {
    find: () => undefined,
    impose: () => undefined,
    lift: () => Promise.resolve(true),
    list: () => new Map(),
    refresh: () => Promise.resolve(true),
    close: () => {},
  }
}

function decode(message: string): readonly [subject?: string, restriction?: Restriction] {
  try {
    const parsed: unknown = JSON.parse(message)
    if (!Array.isArray(parsed) || typeof parsed[0] !== 'string') return []
    const [subject, value] = parsed as [string, Partial<Restriction> | null]
    if (value === null) return [subject]
    const { action, until, strikes, detector } = value
    const valid =
      ACTIONS.includes(action as Restriction['action']) &&
      Number.isFinite(until) &&
      Number.isInteger(strikes) &&
      typeof detector === 'string'
    const fits = valid && subject.startsWith(`${action}|`)
    return fits ? [subject, { action, until, strikes, detector } as Restriction] : []
  } catch {
    return []
  }
}
