import { Redis } from 'ioredis'
import { describe as describeError, placeOf, withoutArguments } from '../../src/redis/describe.js'
import {
  asRedisError,
  classify,
  isRedisCommandError,
  isRedisUnavailable,
  type RedisCommandError,
  RedisUnavailableError,
} from '../../src/redis/errors.js'

const named = (name: string, message: string, more: object = {}): Error =>
  Object.assign(new Error(message), { name }, more)
const reply = (message: string): Error => named('ReplyError', message)
/** As servers before 7 answer, depending on who noticed. */
const fromScript = (message: string): Error => reply(`ERR Error running script (call to f_9a1c): ${message}`)

test.each<[string, unknown, string]>([
  [
    'a refused connection',
    named('Error', 'connect ECONNREFUSED 10.0.0.1:6379', { code: 'ECONNREFUSED', syscall: 'connect' }),
    'connect ECONNREFUSED',
  ],
  ['several refused addresses', named('AggregateError', '', { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
  [
    'an unknown host',
    named('Error', 'getaddrinfo ENOTFOUND redis.internal', { code: 'ENOTFOUND', syscall: 'getaddrinfo' }),
    'getaddrinfo ENOTFOUND',
  ],
  [
    'a certificate',
    named('Error', "Host: redis.internal. is not in the cert's altnames", { code: 'ERR_TLS_CERT_ALTNAME_INVALID' }),
    'ERR_TLS_CERT_ALTNAME_INVALID',
  ],
  ['a wrong password', reply('WRONGPASS invalid username-password pair or user is disabled.'), 'WRONGPASS'],
  [
    'a server that quotes its arguments',
    reply("ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'u' 'hunter2'"),
    'ERR unknown command',
  ],
  ['a database that is not there', reply('ERR DB index is out of range'), 'ERR DB index is out of range'],
  ['a type within a script', fromScript('@user_script:7: WRONGTYPE Operation against a key'), 'WRONGTYPE'],
  ['a redirection', reply('MOVED 3999 10.0.0.1:6381'), 'MOVED'],
  [
    'sentinels',
    named(
      'Error',
      'All sentinels are unreachable. Retrying from scratch after 200ms. Last error: connect ECONNREFUSED 10.0.0.1:1',
    ),
    'All sentinels are unreachable',
  ],
  [
    'the watchdog',
    named('Error', "Socket timeout. Expecting data, but didn't receive any in 1000ms."),
    'Socket timeout',
  ],
  [
    'a Cluster',
    named('ClusterAllFailedError', 'Failed to refresh slots cache.', {
      lastNodeError: reply('NOAUTH Authentication required.'),
    }),
    'NOAUTH',
  ],
  ['something thrown that is no error', 'redis://u:hunter2@h', 'an unknown error'],
  ['an error without a message', named('OddError', ''), 'OddError'],
])('%s is described without hosts or secrets', (_name, error, text) => {
  expect(describeError(error)).toBe(text)
})

test.each<[string, unknown, 'outage' | 'reply' | 'bug']>([
  ['LOADING', reply('LOADING Redis is loading the dataset in memory'), 'outage'],
  ['READONLY', reply("READONLY You can't write against a read only replica."), 'outage'],
  ['READONLY of a script', fromScript('@user_script:1: @user_script: 1: -READONLY You cannot write.'), 'outage'],
  ['OOM of a script', fromScript('@user_script:1: @user_script: 1: -OOM command not allowed.'), 'reply'],
  ['CLUSTERDOWN', reply('CLUSTERDOWN Hash slot not served'), 'outage'],
  ['BUSY', reply('BUSY Redis is busy running a script.'), 'outage'],
  ['BUSYGROUP', reply('BUSYGROUP Consumer Group name already exists'), 'reply'],
  ['WRONGTYPE', reply('WRONGTYPE Operation against a key holding the wrong kind of value'), 'reply'],
  ['OOM', reply("OOM command not allowed when used memory > 'maxmemory'."), 'reply'],
  ['a closed connection', new Error('Connection is closed.'), 'outage'],
  ['a refused write', new Error("Stream isn't writeable and enableOfflineQueue options is false"), 'outage'],
  ['a flushed queue', named('MaxRetriesPerRequestError', 'Reached the max retries per request limit'), 'outage'],
  ['an aborted pipeline', named('AbortError', 'Command aborted due to connection close'), 'outage'],
  ['a reset socket', named('Error', 'read ECONNRESET', { code: 'ECONNRESET' }), 'outage'],
  ['an error of the application', new Error('no such product'), 'bug'],
  ['a file that is not there', named('Error', 'ENOENT', { code: 'ENOENT', syscall: 'open' }), 'bug'],
  ['a type error', new TypeError('x is not a function'), 'bug'],
  ['text', 'oops', 'bug'],
  ['nothing', undefined, 'bug'],
])('%s is classified', (_name, error, kind) => {
  expect(classify(error)).toBe(kind)
})

test('what fails closed is told apart by guards, and keeps its cause without the arguments', () => {
  const quoting = Object.assign(reply("ERR unknown command 'FOO', with args beginning with: 'hunter2'"), {
    command: { name: 'foo', args: ['hunter2'] },
  })
  const refused = asRedisError('save', 'lost', quoting)
  expect(isRedisCommandError(refused)).toBe(true)
  expect(refused).toMatchObject({ operation: 'save', kind: 'ERR', message: 'Redis refused save: ERR' })
  const cause = (refused as RedisCommandError).cause as Error
  expect(cause.message).toBe("ERR unknown command 'FOO'")
  expect(`${cause.stack}${JSON.stringify(Object.entries(cause))}`).not.toContain('hunter2')

  const lost = asRedisError('save', 'lost', new Error('Connection is closed.'))
  expect(isRedisUnavailable(lost)).toBe(true)
  expect(isRedisUnavailable(refused)).toBe(false)
  expect(asRedisError('outer', 'lost', lost)).toBe(lost)

  const bug = new Error('no such product')
  expect(asRedisError('save', 'lost', bug)).toBe(bug)
})

test('guards know the errors of another installed copy', async () => {
  jest.resetModules()
  const other: typeof import('../../src/redis/errors.js') = await import('../../src/redis/errors.js')
  const theirs = new other.RedisUnavailableError('get', 'down')
  expect(theirs).not.toBeInstanceOf(RedisUnavailableError)
  expect(isRedisUnavailable(theirs)).toBe(true)
  expect(isRedisUnavailable({ code: 'ERR_HOLDFAST_REDIS_UNAVAILABLE' })).toBe(false)
})

test('the place of a throw never carries its message', () => {
  let thrown: unknown
  try {
    JSON.parse('{"password": hunter2}')
  } catch (error) {
    thrown = error
  }
  expect(placeOf(thrown)).toMatch(/^at /)
  expect(placeOf(thrown)).not.toContain('hunter2')
  expect(placeOf('hunter2')).toBe('somewhere')
  expect(withoutArguments(new RangeError('far')).name).toBe('RangeError')
})

test('every error that ioredis itself makes for a lost connection is an outage', async () => {
  const client = new Redis({ port: 1, lazyConnect: true, retryStrategy: () => null, enableOfflineQueue: false })
  client.on('error', () => {})
  const failures = [await client.connect().catch((error) => error), await client.get('a').catch((error) => error)]
  client.disconnect()
  expect(failures.map(classify)).toEqual(['outage', 'outage'])
})
