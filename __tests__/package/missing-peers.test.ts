import { type RedisServer, startRedis } from '../support/redis-server.js'
import { mustRun } from './run.js'
import { createScratch, pack, type Scratch, type Tarball } from './scratch.js'

let server: RedisServer
let tarball: Tarball
let scratch: Scratch

beforeAll(async () => {
  server = await startRedis()
  tarball = await pack()
  scratch = await createScratch(tarball, ['express@5'])
}, 120_000)
afterAll(async () => {
  await scratch.remove()
  await tarball.remove()
  await server.stop()
})

const WORK = `
  const told = []
  const note = (line) => told.push(line)
  const redis = createRedisManager({ url: process.argv[1], commandTimeout: '5s', logger: { info() {}, warn: note, error: note } })
  const early = createQueue('early', { redis })
  await redis.ready('10s')
  const queue = createQueue('mails', { redis })
  const worker = queue.process(() => {})
  const error = await queue.add({ to: 'ada' }).catch((error) => error)
  const ready = await worker.ready(100)
  await Promise.all([queue.close(), early.close()])
  await redis.close()
  console.log(JSON.stringify({ told, ready, name: error.name, code: error.code, message: error.message }))`

const PROGRAMS = {
  'an ES module': [
    '--input-type=module',
    '-e',
    `import { createRedisManager } from 'holdfast'
    import { createQueue } from 'holdfast/queue'
    ${WORK}`,
  ],
  'a CommonJS script': [
    '-e',
    `const { createRedisManager } = require('holdfast')
    const { createQueue } = require('holdfast/queue')
    ;(async () => {${WORK}})()`,
  ],
}

test.each(Object.entries(PROGRAMS))(
  'where bullmq is not installed, %s is told what to install',
  async (_, program) => {
    const output = JSON.parse(await mustRun(process.execPath, [...program, server.url], { cwd: scratch.dir }))
    const message = 'createQueue: "bullmq" must be installed: npm install bullmq'
    expect(output).toMatchObject({ name: 'ConfigurationError', message, ready: false })
    // Once, however many queues there are, and once for the worker.
    expect(output.told).toEqual([`holdfast: ${message} [HOLDFAST_QUEUE_BULLMQ]`, expect.stringContaining(message)])
    expect(output.told[1]).toContain('a worker of queue "mails" could not start')
  },
  60_000,
)
