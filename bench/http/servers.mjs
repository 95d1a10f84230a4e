import { execFileSync, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'

const children = new Set()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

function pin(child, core) {
  try {
    execFileSync('taskset', ['-acp', String(core), String(child.pid)], { stdio: 'ignore' })
  } catch {
    // Without taskset the figures are noisier, not wrong.
  }
}

export async function startRedis() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', dir]
  const child = spawn(process.env.REDIS_SERVER_BIN ?? 'redis-server', args, { stdio: 'ignore' })
  children.add(child)
  pin(child, 1)
  const client = new Redis(port)
  await client.ping()
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    client,
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
  }
}

/** Commands that Redis has run so far, without INFO itself. */
export async function commandsRun(client) {
  const info = await client.info('commandstats')
  const calls = [...info.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)].filter(([, name]) => name !== 'info')
  return calls.reduce((total, [, , count]) => total + Number(count), 0)
}

export async function startServer(name, url, execPath, env = process.env) {
  const file = fileURLToPath(new URL('./server.mjs', import.meta.url))
  const child = fork(file, [name, url], { execPath, env: { ...env, NODE_ENV: 'production' } })
  children.add(child)
  pin(child, 0)
  const [{ port, login, status = 200, headers }] = await once(child, 'message')
  const base = `http://127.0.0.1:${port}`
  const cookie = login && (await fetch(base + login)).headers.get('set-cookie')?.split(';')[0]
  return {
    name,
    url: `${base}/`,
    headers: { ...headers, ...(cookie && { Cookie: cookie }) },
    status,
    async stop() {
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
    async cpu() {
      child.send('cpu')
      const [{ cpu }] = await once(child, 'message')
      return cpu.user + cpu.system
    },
  }
}

/** One point of load; throws where a status was unexpected. */
export async function load({ name, url, headers, status = 200 }, seconds) {
  const extra = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const wrk = ['wrk', '-t1', '-c64', `-d${seconds}s`, '--latency', ...extra, url]
  const child = spawn('taskset', ['-c', '1', ...wrk], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  await once(child, 'close')
  const requests = Number(/(\d+) requests in/.exec(output)?.[1])
  const elapsed = Number(/requests in ([\d.]+)s/.exec(output)?.[1] ?? seconds)
  const p99 = /99%\s+([\d.]+)(us|ms|s)/.exec(output)
  // A limiter that is to refuse everybody lets its first request pass.
  const refused = Number(/Non-2xx or 3xx responses: (\d+)/.exec(output)?.[1] ?? 0)
  const unexpected = status === 429 ? requests - refused > 1 : refused > 0
  if (!(requests > 0) || unexpected || /Socket errors/.test(output))
    throw new Error(`${name} failed under load:\n${output}`)
  const unit = { us: 0.001, ms: 1, s: 1000 }[p99?.[2] ?? 'ms']
  return { requests, perSecond: requests / elapsed, p99: Number(p99?.[1]) * unit }
}
