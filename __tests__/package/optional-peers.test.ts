import { mustRun } from './run.js'
import { root } from './scratch.js'

const PEERS = ['prom-client', '@opentelemetry/api', 'bullmq', 'jose']

async function peersLoadedBy(subpath: string, then = ''): Promise<string[]> {
  const script = `(async () => {
    const it = require('${subpath}')
    ${then}
    console.log(Object.keys(require.cache).join('\\n'))
  })()`
  const loaded = await mustRun(process.execPath, ['-e', script], { cwd: root })
  return PEERS.filter((peer) => loaded.includes(`/node_modules/${peer}/`))
}

test('importing holdfast/ops loads no peer that only some of it needs', async () => {
  expect(await peersLoadedBy('holdfast')).toEqual([])
  expect(await peersLoadedBy('holdfast/ops')).toEqual([])
})

test('prom-client is loaded with the first scrape, not before', async () => {
  const mount = `
    const { createRedisManager } = require('holdfast')
    const redis = createRedisManager({ env: {}, logger: false })
    const endpoint = it.prometheus({ metrics: it.createMetrics({ redis }) })`
  expect(await peersLoadedBy('holdfast/ops', mount)).toEqual([])
  const scrape = `${mount}
    await new Promise((resolve, reject) => endpoint({ method: 'GET' }, { set() {}, end: resolve }, reject))`
  expect(await peersLoadedBy('holdfast/ops', scrape)).toContain('prom-client')
})

test('OpenTelemetry has a subpath of its own', async () => {
  expect(await peersLoadedBy('holdfast/ops/opentelemetry')).toEqual(['@opentelemetry/api'])
})
