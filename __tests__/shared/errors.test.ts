import { runInNewContext } from 'node:vm'
import {
  ConfigurationError,
  HoldfastError,
  isConfigurationError,
  isError,
  isHoldfastError,
} from '../../src/shared/errors.js'

test('an error has a name, a stable code, and its cause', () => {
  const cause = new Error('origin')
  const error = new HoldfastError('ERR_HOLDFAST_TEST', 'it failed', { cause })
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({ name: 'HoldfastError', code: 'ERR_HOLDFAST_TEST', message: 'it failed', cause })
  expect(error.stack).toContain('it failed')
})

test('a configuration error names owner, option and problem', () => {
  const error = new ConfigurationError('rateLimit', 'limit', 'must be positive, got -1')
  expect(error).toBeInstanceOf(HoldfastError)
  expect(error).toMatchObject({
    name: 'ConfigurationError',
    code: 'ERR_HOLDFAST_CONFIG',
    option: 'limit',
    message: 'rateLimit: "limit" must be positive, got -1',
  })
})

test('guards know the errors of another installed copy, and nothing that only looks like one', async () => {
  jest.resetModules()
  const other: typeof import('../../src/shared/errors.js') = await import('../../src/shared/errors.js')
  const theirs = new other.ConfigurationError('a', 'b', 'c')
  expect(theirs).not.toBeInstanceOf(ConfigurationError)
  expect([isHoldfastError(theirs), isConfigurationError(theirs)]).toEqual([true, true])
  expect(isConfigurationError(new other.HoldfastError('ERR_HOLDFAST_TEST', 'x'))).toBe(false)
  for (const value of [null, undefined, 'x', {}, new Error('x'), { code: 'ERR_HOLDFAST_CONFIG' }]) {
    expect([isHoldfastError(value), isConfigurationError(value)]).toEqual([false, false])
  }
})

test('an error of another realm is an error', () => {
  const foreign: unknown = runInNewContext('new TypeError("x")')
  expect(foreign).not.toBeInstanceOf(Error)
  expect(isError(foreign)).toBe(true)
  expect([isError({ message: 'x' }), isError(null), isError('x')]).toEqual([false, false, false])
})
