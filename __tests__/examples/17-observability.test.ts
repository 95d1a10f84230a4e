import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { parser } from '@prometheus-io/lezer-promql'
import request from 'supertest'
import { createApp, type ObservedApp } from '../../examples/17-observability/app.js'
import { createCache } from '../../src/cache/index.js'
import {
  createLeaderboard,
  createLocks,
  createPreferences,
  createUsage,
  type RedisManager,
  rateLimit,
  securityLog,
} from '../../src/index.js'
import type { MonitorAlert } from '../../src/ops/index.js'
import { redisSession } from '../../src/session/index.js'
import { eventually } from '../support/eventually.js'
import type { RedisServer } from '../support/redis-server.js'
import { useRedis } from '../support/use-redis.js'

const folder = join(__dirname, '..', '..', 'examples', '17-observability')

let server: RedisServer
let redis: RedisManager
let observed: ObservedApp
const paged: MonitorAlert[] = []

useRedis(
  async (own) => {
    server = own.server
    redis = own.redis
    observed = createApp(redis, (alert) => void paged.push(alert))
    // Shares of features are sampled once a minute: there must be something to share.
    await get('/products')
    await eventually(async () => (await server.client().keys('*:responses:*')).length > 0)
  },
  { server: { args: ['--maxmemory', '100mb'] }, manager: { commandTimeout: 1000 }, close: () => observed.close() },
)

const get = (path: string) => request(observed.app).get(path)

describe('the observability example', () => {
  it('answers the whole report to this machine, with the version of Redis', async () => {
    await eventually(
      async () => {
        const { body } = await get('/health').expect(200)
        expect(body).toMatchObject({ status: 'pass', version: '1.4.0' })
        expect(body.checks['redis:version'][0].observedValue).toMatch(/^\d+\.\d+/)
        expect(body.checks['redis:role'][0].observedValue).toBe('master')
        expect(body.checks['monitor:alerts'][0].observedValue).toBe(0)
        expect(body.checks['upkeep:tasks'][0].observedValue).toBe(1)
        expect(body.checks.carts[0]).toMatchObject({ observedValue: 0, observedUnit: 'carts' })
      },
      { every: 200 },
    )
  })

  it('answers the short report on request', async () => {
    await eventually(
      async () => {
        const { body } = await get('/health?format=simple').expect(200)
        expect(body).toEqual({
          status: 'pass',
          redis: { status: 'up', latency: expect.any(Number) },
          cache: { totalKeys: expect.any(Number), memoryUsage: expect.any(Number) },
        })
      },
      { every: 200 },
    )
  })

  it('measures its own operations, here and over the fleet', async () => {
    await request(observed.app).post('/carts/7').expect(204)
    const { text } = await get('/metrics').expect(200)
    expect(text).toContain('holdfast_measured_calls_total{operation="carts.save",outcome="ok"} 1')
    const { body } = await get('/fleet').expect(200)
    expect(body).toMatchObject({ processes: 1, operations: { 'carts.save': { calls: 1, successRate: 1 } } })
  })
})

describe('the pages', () => {
  const page = (name: string): string => readFileSync(join(__dirname, '..', '..', name), 'utf8')
  const block = (text: string, marker: string): string =>
    new RegExp(`<!-- ${marker}:[^\\n]*\\n\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``).exec(text)?.[1] ?? ''

  it('show the health report that the example answers', async () => {
    await get('/products')
    await get('/products')
    const shown = JSON.parse(block(page('docs/ops.md'), 'health'))
    const answered = await eventually(
      async () => {
        const { body } = await get('/health')
        expect(Object.keys(body.checks).sort()).toEqual(Object.keys(shown.checks).sort())
        expect(body.checks['redis:keys'].length).toBeGreaterThan(1)
        return body
      },
      { every: 200 },
    )
    expect(shapeOf(answered)).toEqual(shapeOf(shown))
    for (const name of ['docs/ops.md', 'README.md']) {
      const expected = shapeOf(JSON.parse(block(page(name), 'simple')))
      await eventually(async () => expect(shapeOf((await get('/health?format=simple')).body)).toEqual(expected), {
        every: 200,
      })
    }
  })

  it('show metrics that the example answers', async () => {
    await request(observed.app).post('/carts/7')
    const answered = new Set((await get('/metrics')).text.split('\n').map(withoutValue))
    for (const [name, lines] of Object.entries({ 'docs/metrics.md': 15, 'README.md': 4 })) {
      const shown = block(page(name), 'metrics').trimEnd().split('\n').map(withoutValue)
      expect(shown.length).toBeGreaterThanOrEqual(lines)
      for (const line of shown) expect([...answered]).toContain(line)
    }
  })

  it('name every metric there is', async () => {
    const text = page('docs/metrics.md')
    for (const [, name = ''] of (await get('/metrics')).text.matchAll(/^# TYPE (\S+)/gm)) {
      const [, tail = ''] = /(_[a-z]+(?:_[a-z]+)*)$/.exec(name.replace(/^holdfast/, '')) ?? []
      const known =
        text.includes(name) || /^_(monitor|upkeep)_/.test(tail) || endings(name).some((end) => text.includes(`…${end}`))
      expect({ name, known }).toEqual({ name, known: true })
    }
  })
})

/** `holdfast_a_b_total` may be written as `…_b_total` beside its siblings. */
function endings(name: string): string[] {
  const words = name.split('_')
  return words.map((_, index) => `_${words.slice(index).join('_')}`)
}

function withoutValue(line: string): string {
  return line.startsWith('#') ? line : line.replace(/ \S+$/, '')
}

/** Names and types, not values: entries of a list by their first one. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return [shapeOf(value[0])]
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([name, inner]) => [name, shapeOf(inner)]),
  )
}

describe('every query of the dashboard and of the alert rules', () => {
  let exposition: ReadonlyMap<string, readonly Readonly<Record<string, string>>[]>

  beforeAll(async () => {
    await useEverything()
    await eventually(async () => {
      exposition = parseExposition((await get('/metrics')).text)
      for (const name of ['redis_server_used_bytes', 'upkeep_runs_total', 'monitor_alerts_total']) {
        expect([...exposition.keys()]).toContain(`holdfast_${name}`)
      }
    })
  })

  const dashboard = JSON.parse(readFileSync(join(folder, 'dashboard.json'), 'utf8')) as {
    panels: { title: string; targets?: { expr: string }[] }[]
  }
  const rules = readFileSync(join(folder, 'alerts.yml'), 'utf8')
  const queries = [
    ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
    ...[...rules.matchAll(/- alert: (\w+)\n(?:\s+#.*\n)?\s+expr: (.+)/g)].map(
      ([, name = '', expr = '']) => [name, expr] as const,
    ),
  ]

  it('is found', () => {
    expect(queries.length).toBeGreaterThan(30)
    expect([...rules.matchAll(/- alert:/g)]).toHaveLength(
      queries.filter(([, expr]) => rules.includes(`expr: ${expr}`)).length,
    )
  })

  it.each(queries)('%s: %s', (_, query) => {
    const { errors, selectors, grouped } = analyse(query.replaceAll('$__rate_interval', '5m'))
    expect(errors).toEqual([])
    expect(selectors.length).toBeGreaterThan(0)
    for (const { name, matchers } of selectors) {
      const series = exposition.get(name) ?? []
      expect({ name, labels: series.length }).not.toEqual({ name, labels: 0 })
      for (const { label, op, value } of matchers) {
        const values = series.map((labels) => labels[label])
        expect(values).not.toContain(undefined)
        // A value that is asked for must be one that is written; what is excluded need not be there.
        if (op === '=') expect(values).toContain(value)
        if (op === '=~') expect(values.some((each) => new RegExp(`^(?:${value})$`).test(each ?? ''))).toBe(true)
      }
      // Those of Prometheus itself are on every series.
      const known = new Set([...series.flatMap((labels) => Object.keys(labels)), 'instance', 'job'])
      for (const label of grouped) expect([...known]).toContain(label)
    }
  })
})

/** Makes each feature say something, so that its metrics are there with the labels they really have. */
async function useEverything(): Promise<void> {
  const { app } = observed
  app.use(securityLog({ redis, sink: () => {} }))
  app.use(redisSession({ redis, secret: 'a secret for tests only' }))
  app.get('/login', (req, res) => {
    req.session.touched = true
    req.security.record('authn_login_success', { userId: 'ada' })
    res.sendStatus(204)
  })
  app.get('/logout', (req, res) => req.session.destroy(() => void res.sendStatus(204)))
  app.get('/limited', rateLimit({ redis, name: 'tight', limit: 1, window: '1m' }), (_req, res) => void res.send('ok'))
  const agent = request.agent(app)
  await agent.get('/login').expect(204)
  await agent.get('/logout').expect(204)
  for (let i = 0; i < 3; i++) await get('/limited')
  for (let i = 0; i < 3; i++) await get('/products')
  await request(app).post('/carts/1')
  const cache = createCache({ redis, namespace: 'stock' })
  for (let i = 0; i < 3; i++) await cache.getOrSet('anchor', () => 1, { ttl: '1m' })
  await redis.attempt(
    'broken',
    () => Promise.reject(new Error('lost')),
    () => 0,
  )
  const [locks, usage] = [createLocks({ redis }), createUsage({ redis })]
  await locks.withLock('report', '10s', async () => {})
  usage.track('ada', 'list')
  await Promise.all([locks.close(), usage.close()])
  await createLeaderboard('chess', { redis }).add('ada', 10)
  await createPreferences({ redis, defaults: { theme: 'light' } }).get('ada', 'theme')
  redis.emit('lock', { outcome: 'lost', key: 'report', fence: 1, heldMs: 10, reason: 'expired' })
  redis.emit('queue.job', { queue: 'mail', id: '1', outcome: 'dead', durationMs: 10 })
  redis.emit('usage.dropped', { calls: 1 })
  redis.emit('upkeep.run', { task: 'carts', outcome: 'done', durationMs: 1, done: 0, more: false })
  await eventually(() => redis.sources().some((source) => source.status().values.watching === true))
  await server.kill()
  await eventually(() => paged.some(({ condition }) => condition === 'connection'))
  await server.restart()
  await eventually(() => redis.available)
}

declare module 'express-session' {
  interface SessionData {
    touched?: boolean
  }
}

type Labels = Readonly<Record<string, string>>

function parseExposition(text: string): Map<string, Labels[]> {
  const found = new Map<string, Labels[]>()
  for (const line of text.split('\n')) {
    const match = /^([a-z_0-9]+)(?:\{(.*)\})? \S+$/.exec(line)
    if (match === null) continue
    const [, name = '', inner = ''] = match
    const labels = Object.fromEntries(
      [...inner.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)].map(([, l, v]) => [l, v]),
    )
    found.set(name, [...(found.get(name) ?? []), labels])
  }
  return found
}

interface Matcher {
  readonly label: string
  readonly op: string
  readonly value: string
}

/** What a query asks for, by the grammar of Prometheus itself. */
function analyse(query: string) {
  const errors: string[] = []
  const selectors: { name: string; matchers: Matcher[] }[] = []
  const grouped: string[] = []
  let within = ''
  parser.parse(query).iterate({
    enter(node) {
      const text = query.slice(node.from, node.to)
      if (node.type.isError) errors.push(`at ${node.from}: ${text}`)
      if (node.name === 'GroupingLabels' || node.name === 'LabelMatchers') within = node.name
      if (node.name === 'VectorSelector') selectors.push({ name: /^[\w:]+/.exec(text)?.[0] ?? '', matchers: [] })
      if (node.name === 'LabelName' && within === 'GroupingLabels') grouped.push(text)
      if (node.name === 'UnquotedLabelMatcher') {
        const [, label = '', op = '', value = ''] = /^(\w+)\s*(=~|!~|!=|=)\s*"(.*)"$/.exec(text) ?? []
        selectors.at(-1)?.matchers.push({ label, op, value })
      }
    },
  })
  return { errors, selectors, grouped }
}
