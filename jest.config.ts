/** @jest-config-loader esbuild-register */
import type { Config } from 'jest'

const config: Config = {
  testEnvironment: 'node',
  roots: ['<rootDir>/__tests__'],
  testMatch: ['**/*.test.ts'],
  transform: {
    '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript', decorators: true } } }],
    '/node_modules/jose/.+\\.js$': ['@swc/jest', { jsc: { target: 'es2022' }, module: { type: 'commonjs' } }],
  },
  // jose is published as ES modules only, which Jest cannot require on Node 20.
  transformIgnorePatterns: ['/node_modules/(?!jose/)'],
  moduleNameMapper: {
    '^(\\.{1,2}/.*)\\.js$': '$1',
    '^holdfast$': '<rootDir>/src/index',
    '^holdfast/(.*)$': '<rootDir>/src/$1/index',
  },
  setupFilesAfterEnv: ['<rootDir>/__tests__/support/second-try.ts'],
  reporters: ['default', '<rootDir>/scripts/count-reporter.mjs'],
  testTimeout: 30_000,
  maxWorkers: 2,
}

export default config
