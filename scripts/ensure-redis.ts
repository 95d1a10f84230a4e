import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { cachedRedis, findOnPath, findRedis } from './find-redis.js'
import { installPackages } from './install-packages.js'

try {
  if (!findServer() || !findOnPath(['openssl'])) installPackages()
  const server = findServer()
  if (!server) fail('the tests need a redis-server: install Redis or Valkey, or set REDIS_SERVER_BIN to its path')
  if (!findOnPath(['openssl'])) fail('the TLS tests need the openssl command: install it')
  console.log(`tests run on ${versionOf(server)}`)
} catch (error) {
  fail(error instanceof Error ? error.message : String(error))
}

function findServer(): string | undefined {
  return findRedis() ?? adoptCheckTool()
}

// Debian's redis-tools carries the server under this name, without the service that the redis-server package starts.
function adoptCheckTool(): string | undefined {
  const tool = findOnPath(['redis-check-rdb', 'valkey-check-rdb'])
  if (!tool) return undefined
  mkdirSync(dirname(cachedRedis), { recursive: true })
  copyFileSync(tool, cachedRedis)
  return findRedis()
}

function versionOf(server: string): string {
  try {
    const line = execFileSync(server, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return line.split(' sha=')[0]?.trim() ?? line
  } catch {
    return fail(`${server} does not run: install Redis or Valkey, or set REDIS_SERVER_BIN to a working one`)
  }
}

function fail(message: string): never {
  console.error(`ensure-redis: ${message}`)
  process.exit(1)
}
