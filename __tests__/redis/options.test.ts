import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConfigurationError } from '../../src/index.js'
import { createRedisManager, type RedisManagerOptions } from '../../src/redis/index.js'
import { managerRules } from '../../src/redis/options.js'
import { resolveSettings } from '../../src/redis/settings.js'
import type { Environment } from '../../src/shared/environment.js'

const SECRET = 'hunter2-correct-horse'
const settingsOf = (options: RedisManagerOptions, env: Environment = {}) => resolveSettings({ ...options, env })
const targetOf = (options: RedisManagerOptions, env: Environment = {}) => settingsOf(options, env).target

test.each<[string, RedisManagerOptions, Environment, object]>([
  ['nothing', {}, {}, { kind: 'none' }],
  ['a URL', { url: 'redis://h' }, {}, { kind: 'standalone', host: 'h', port: 6379 }],
  [
    'a full URL',
    { url: 'rediss://user:p%40ss@h:7000/3' },
    {},
    { kind: 'standalone', host: 'h', port: 7000, username: 'user', password: 'p@ss', db: 3, tls: {} },
  ],
  ['a password with a bare %', { url: 'redis://:50%@h' }, {}, { password: '50%' }],
  ['an IPv6 address', { url: 'redis://[::1]:7000' }, {}, { host: '::1', port: 7000 }],
  ['a port alone', { port: 7000 }, {}, { kind: 'standalone', host: '127.0.0.1', port: 7000 }],
  ['TLS options', { host: 'h', tls: { ca: 'x' } }, {}, { tls: { ca: 'x' } }],
  ['tls: true', { host: 'h', tls: true }, {}, { tls: {} }],
  ['tls: false', { url: 'rediss://h', tls: false }, {}, { tls: undefined }],
  ['options undefined', { url: undefined, host: undefined, db: undefined }, {}, { kind: 'none' }],
  ['REDIS_URL', {}, { REDIS_URL: 'redis://h:7000/2' }, { kind: 'standalone', host: 'h', port: 7000, db: 2 }],
  [
    'separate variables',
    {},
    { REDIS_HOST: 'h', REDIS_PORT: '7000', REDIS_USERNAME: 'u', REDIS_PASSWORD: 'p', REDIS_DB: '4', REDIS_TLS: 'true' },
    { host: 'h', port: 7000, username: 'u', password: 'p', db: 4, tls: {} },
  ],
  ['REDIS_TLS=0', {}, { REDIS_HOST: 'h', REDIS_TLS: '0' }, { tls: undefined }],
  ['REDIS_PORT alone', {}, { REDIS_PORT: '7000' }, { host: '127.0.0.1', port: 7000 }],
  ['REDIS_URL before REDIS_HOST', {}, { REDIS_URL: 'redis://a', REDIS_HOST: 'b' }, { host: 'a' }],
  ['REDIS_PASSWORD beside a URL without one', {}, { REDIS_URL: 'redis://a', REDIS_PASSWORD: 'p' }, { password: 'p' }],
  ['empty variables', {}, { REDIS_URL: '', REDIS_HOST: '', REDIS_PORT: ' ', REDIS_TLS: '' }, { kind: 'none' }],
  ['an option before the variable', { url: 'redis://a' }, { REDIS_URL: 'redis://b' }, { host: 'a' }],
  [
    'no credentials of another place',
    { host: 'a' },
    { REDIS_PASSWORD: SECRET, REDIS_DB: '3', REDIS_TLS: '1' },
    { host: 'a', password: undefined, db: undefined, tls: undefined },
  ],
  [
    'Sentinel',
    { sentinel: { name: 'm', nodes: [{ host: 'a' }], password: 's' }, password: 'p', tls: true },
    {},
    { kind: 'sentinel', name: 'm', sentinelPassword: 's', password: 'p', tls: {}, sentinelTls: {} },
  ],
  [
    'Sentinel without TLS before Redis with it',
    { sentinel: { name: 'm', nodes: [{ host: 'a' }], tls: false }, tls: true },
    {},
    { tls: {}, sentinelTls: undefined },
  ],
  ['a Cluster', { cluster: { nodes: [{ host: 'a', port: 7000 }] } }, {}, { kind: 'cluster' }],
])('%s gives the place', (_name, options, env, expected) => {
  expect(targetOf(options, env)).toMatchObject(expected)
})

test('defaults, and each variable that replaces one', () => {
  expect(settingsOf({})).toMatchObject({
    keyPrefix: 'holdfast',
    connectTimeout: 1000,
    commandTimeout: 75,
    maxConnections: 10,
    maxInFlight: 10_000,
    breakerThreshold: 3,
    probeInterval: 250,
  })
  const env = {
    REDIS_KEY_PREFIX: 'shop',
    REDIS_CONNECT_TIMEOUT: '2500',
    REDIS_COMMAND_TIMEOUT: '50ms',
    REDIS_MAX_CONNECTIONS: '4',
  }
  expect(settingsOf({}, env)).toMatchObject({
    keyPrefix: 'shop',
    connectTimeout: 2500,
    commandTimeout: 50,
    maxConnections: 4,
  })
  const options = { keyPrefix: 'x', connectTimeout: '3s', commandTimeout: 10, maxConnections: 1 } as const
  expect(settingsOf(options, env)).toMatchObject({
    keyPrefix: 'x',
    connectTimeout: 3000,
    commandTimeout: 10,
    maxConnections: 1,
  })
})

function refusal(options: object, env: Environment = {}): ConfigurationError {
  try {
    createRedisManager({ logger: false, env, ...options })
  } catch (error) {
    return error as ConfigurationError
  }
  throw new Error('it was accepted')
}

test.each<[string, object, string, RegExp]>([
  ['no URL', { url: 'not a url' }, 'url', /must be a URL such as redis:/],
  ['another scheme', { url: 'http://h' }, 'url', /must be a URL/],
  ['no host', { url: 'redis://' }, 'url', /must be a URL/],
  ['a port out of range', { url: 'redis://h:65536' }, 'url', /must be a URL/],
  ['port 0', { url: 'redis://h:0' }, 'url', /must be a URL/],
  ['a path that is no database', { url: 'redis://h/cache' }, 'url', /must be a URL/],
  ['a database out of range', { url: 'redis://h/70000' }, 'url', /must be a URL/],
  ['a query that would be ignored', { url: 'redis://h?db=3' }, 'url', /nothing after the database/],
  ['a bare # in the password', { url: `redis://:${SECRET}#x@h` }, 'url', /percent-encoded/],
  ['an empty URL', { url: '' }, 'url', /must be a URL/],
  ['a URL as host', { host: `redis://u:${SECRET}@h` }, 'host', /without scheme, credentials or port/],
  ['a host with its port', { host: 'h:6379' }, 'host', /without scheme, credentials or port/],
  ['a port out of range', { port: 65_536 }, 'port', /must be an integer from 1 to 65535, got 65536/],
  ['a port as text', { port: '6379' }, 'port', /must be an integer from 1 to 65535, got "6379"/],
  ['an empty password', { host: 'h', password: '' }, 'password', /must be a non-empty string, got \[secret\]/],
  ['a password that is no text', { host: 'h', password: 12_345_678 }, 'password', /got \[secret\]/],
  ['a negative database', { host: 'h', db: -1 }, 'db', /from 0 to 65535, got -1/],
  ['a negative duration', { commandTimeout: '-5s' }, 'commandTimeout', /must be a duration .*, got "-5s"/],
  ['no duration', { connectTimeout: 0 }, 'connectTimeout', /from 1 ms/],
  ['a duration no timer can hold', { commandTimeout: '60d' }, 'commandTimeout', /must be a duration/],
  ['an endless duration', { probeInterval: Number.POSITIVE_INFINITY }, 'probeInterval', /must be a duration/],
  ['a misspelt option', { hots: 'h' }, 'hots', /is not an option; expected one of url, host, port/],
  ['an inherited name', JSON.parse('{"__proto__":1}'), '__proto__', /is not an option/],
  ['two places', { url: 'redis://h', cluster: { nodes: [{ host: 'h' }] } }, 'cluster', /together with "url"/],
  ['an empty Cluster', { cluster: { nodes: [] } }, 'cluster', /must be { nodes/],
  ['a Cluster with a database', { cluster: { nodes: [{ host: 'h' }] }, db: 1 }, 'db', /must be 0 on a Cluster/],
  ['a node without a host', { cluster: { nodes: [{ port: 1 }] } }, 'cluster', /must be { nodes/],
  [
    'a misspelt field',
    { sentinel: { name: 'm', nodes: [{ host: 'h' }], pasword: SECRET } },
    'sentinel',
    /must be { name/,
  ],
  ['a Sentinel without a name', { sentinel: { nodes: [{ host: 'h' }] } }, 'sentinel', /must be { name/],
  ['no client', { client: {} }, 'client', /must be an ioredis client, got an object/],
  ['no logger', { logger: { info: () => {} } }, 'logger', /must be an object with info, warn and error, or false/],
  ['null', { host: null }, 'host', /must be a host name/],
])('%s is refused', (_name, options, option, message) => {
  const error = refusal(options)
  expect(error).toMatchObject({ name: 'ConfigurationError', code: 'ERR_HOLDFAST_CONFIG', option })
  expect(error.message).toMatch(message)
  expect(error.message.startsWith('createRedisManager: ')).toBe(true)
  expect(`${error.message}${error.stack}${JSON.stringify(error)}`).not.toContain(SECRET)
})

test.each<[Environment, string, RegExp]>([
  [{ REDIS_URL: `redis://:${SECRET}@` }, 'REDIS_URL', /must be a URL such as/],
  [{ REDIS_URL: `redis:/${SECRET}` }, 'REDIS_URL', /got \[secret\]/],
  [{ REDIS_HOST: `redis://:${SECRET}@h` }, 'REDIS_HOST', /without scheme/],
  [{ REDIS_PORT: '0' }, 'REDIS_PORT', /must be an integer from 1 to 65535, got "0"/],
  [{ REDIS_PORT: '6379a' }, 'REDIS_PORT', /got "6379a"/],
  [{ REDIS_PORT: '1e3' }, 'REDIS_PORT', /got "1e3"/],
  [{ REDIS_HOST: 'h', REDIS_DB: '-1' }, 'REDIS_DB', /from 0 to 65535/],
  [{ REDIS_HOST: 'h', REDIS_TLS: 'yes' }, 'REDIS_TLS', /must be true, false, 1 or 0, got "yes"/],
  [{ REDIS_CONNECT_TIMEOUT: 'soon' }, 'REDIS_CONNECT_TIMEOUT', /must be a duration .*got "soon"/],
  [{ REDIS_COMMAND_TIMEOUT: '0' }, 'REDIS_COMMAND_TIMEOUT', /from 1 ms/],
  [{ REDIS_MAX_CONNECTIONS: '0' }, 'REDIS_MAX_CONNECTIONS', /must be an integer from 1 to 10000, got "0"/],
  [{ REDIS_KEY_PREFIX: 'a:b' }, 'REDIS_KEY_PREFIX', /must be 1 to 64 letters, digits.*got "a:b"/],
])('%j is refused by the name of the variable', (env, variable, message) => {
  const error = refusal({}, env)
  expect(error).toMatchObject({ code: 'ERR_HOLDFAST_CONFIG', option: variable })
  expect(error.message).toMatch(message)
  expect(error.message.startsWith('environment: ')).toBe(true)
  expect(`${error.message}${error.stack}`).not.toContain(SECRET)
})

test('the options given are not written to', () => {
  const options = Object.freeze({ logger: false, env: Object.freeze({}), tls: Object.freeze({}) } as const)
  expect(() => createRedisManager(options)).not.toThrow()
})

test('the page lists every option, every variable that is read, and every warning', () => {
  const page = readFileSync(join(__dirname, '../../docs/redis.md'), 'utf8')
  const sources = readdirSync(join(__dirname, '../../src/redis')).map((file) =>
    readFileSync(join(__dirname, '../../src/redis', file), 'utf8'),
  )
  const variables = sources.join().match(/(?<=')REDIS_[A-Z_]+(?=')/g) ?? []
  const warnings = sources.join().match(/(?<=['`])HOLDFAST_[A-Z_]+/g) ?? []
  expect(variables.length).toBeGreaterThan(8)
  expect(warnings.length).toBeGreaterThan(3)
  const names = [...Object.keys(managerRules), ...variables, ...warnings]
  expect(names.filter((name) => !page.includes(`\`${name}`))).toEqual([])
})
