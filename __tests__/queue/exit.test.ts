import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterEach, expect, it } from '@jest/globals'
import { afterwards, aServer, cleanAll } from './support.js'

afterEach(cleanAll)

const program = (closing: string) => `
import { createQueue } from '${join(__dirname, '../../src/queue/index.js')}'
import { createRedisManager } from '${join(__dirname, '../../src/redis/index.js')}'
const redis = createRedisManager({ url: process.env.REDIS_URL, logger: false, commandTimeout: 2000 })
const run = async () => {
  await redis.ready('10s')
  const queue = createQueue('mails', { redis })
  const started = new Promise((resolve) => {
    queue.process(({ data }) => { resolve(0); return data === 'stuck' ? new Promise(() => {}) : 1 })
  })
  await queue.add(process.env.JOB)
  await started
  ${closing}
  process.stdout.write('closed')
}
void run()
`

it.each([
  ['the queue and the manager are closed', 'await queue.close(100); await redis.close()', 'quick'],
  ['only the manager is closed', 'await redis.close()', 'quick'],
  ['a job never ends', 'await queue.close(100); await redis.close()', 'stuck'],
])('a process ends by itself once %s', async (_, closing, job) => {
  const server = await aServer()
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program(closing)], {
    env: { ...process.env, REDIS_URL: server.url, JOB: job },
    cwd: join(__dirname, '../..'),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  afterwards(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk
  })
  const ended = await new Promise((resolve) => {
    child.once('exit', resolve)
    setTimeout(resolve, 15_000, 'still running').unref()
  })
  expect([output, ended]).toEqual(['closed', 0])
})
