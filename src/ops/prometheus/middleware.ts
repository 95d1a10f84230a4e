import type { Request, RequestHandler } from 'express'
import { asyncHandler } from '../../shared/async-handler.js'
import { ConfigurationError } from '../../shared/errors.js'
import { aFunction, anObject, checkOptions, type Rule, type Rules, requireOptions } from '../../shared/options.js'
import type { Metrics } from '../metrics/metrics.js'
import { type PrometheusRegistry, registerFamilies } from './registry.js'

export interface PrometheusOptions {
  readonly metrics: Metrics
  /** A registry of prom-client to show these metrics in, beside your own. @default a private one */
  readonly register?: PrometheusRegistry | undefined
  /** Who may read it; everybody else is answered 404. @default everybody */
  readonly allow?: ((req: Request) => boolean) | undefined
}

const theMetrics: Rule = {
  expected: 'metrics made by createMetrics()',
  accepts: (value) => typeof (value as Partial<Metrics> | null)?.families === 'function',
}
const rules: Rules<PrometheusOptions> = { metrics: theMetrics, register: anObject, allow: aFunction }

/**
 * An endpoint for Prometheus, through the optional peer prom-client, which is loaded with the first scrape. Numbers are
 * read when they are asked for. Never asks Redis.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { createRedisManager } from 'holdfast'
 * import { createMetrics, prometheus } from 'holdfast/ops'
 *
 * const redis = createRedisManager()
 * const app = express()
 * app.get('/metrics', prometheus({ metrics: createMetrics({ redis }) }))
 * ```
 */
export function prometheus(options: PrometheusOptions): RequestHandler {
  checkOptions('prometheus', options, rules)
  requireOptions('prometheus', options, rules, 'metrics')
  const { metrics, register, allow = () => true } = options
  let opened: Promise<Opened> | undefined
  if (register !== undefined) opened = Promise.resolve(open(register, metrics))

  return asyncHandler(async function prometheusEndpoint(req, res, next) {
    if (req.method !== 'GET' && req.method !== 'HEAD') return next()
    if (!allow(req)) return void res.sendStatus(404)
    opened ??= privateRegistry().then((registry) => open(registry, metrics))
    const { registry, refresh } = await opened
    refresh()
    const text = await registry.metrics()
    res.set({ 'Content-Type': registry.contentType, 'Cache-Control': 'no-store' })
    res.end(req.method === 'HEAD' ? undefined : text)
  })
}

interface Opened {
  readonly registry: PrometheusRegistry
  readonly refresh: () => void
}

function open(registry: PrometheusRegistry, metrics: Metrics): Opened {
  return { registry, refresh: registerFamilies(registry, metrics.families) }
}

async function privateRegistry(): Promise<PrometheusRegistry> {
  try {
    const { Registry } = await import('prom-client')
    return new Registry() as unknown as PrometheusRegistry
  } catch (cause) {
    throw new ConfigurationError('prometheus', 'register', `needs the package prom-client: ${String(cause)}`)
  }
}
