import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { transform } from '@swc/core'
import * as holdfast from '../../src/cache/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import type { Products } from './fixtures/decorated.js'
import { type Peer, peer } from './world.js'

const root = join(__dirname, '../..')
const fixture = join(__dirname, 'fixtures/decorated.ts')
const run = promisify(execFile)

let server: RedisServer
let one: Peer
let folder: string

beforeAll(async () => {
  server = await startRedis()
  one = await peer({ url: server.url })
  folder = await mkdtemp(join(tmpdir(), 'holdfast-decorators-'))
})
afterAll(async () => {
  await one.close()
  await server.stop()
  await rm(folder, { recursive: true })
})
beforeEach(async () => {
  await server.client().flushall()
})

/** Checks the types too. */
async function byTypeScript(legacy: boolean): Promise<string> {
  const compiler = join(createRequire(join(root, 'package.json')).resolve('typescript/package.json'), '../bin/tsc')
  const out = join(folder, `typescript-${legacy}`)
  await run(process.execPath, [
    ...[compiler, fixture, '--ignoreConfig', '--strict', '--skipLibCheck', '--outDir', out, '--rootDir', root],
    ...['--target', 'es2022', '--lib', 'es2024,esnext.decorators', '--types', 'node'],
    ...['--module', 'commonjs', '--moduleResolution', 'bundler'],
    ...(legacy ? ['--experimentalDecorators'] : []),
  ])
  return readFile(join(out, '__tests__/cache/fixtures/decorated.js'), 'utf8')
}

async function bySwc(legacy: boolean): Promise<string> {
  const { code } = await transform(await readFile(fixture, 'utf8'), {
    jsc: {
      target: 'es2022',
      parser: { syntax: 'typescript', decorators: true },
      transform: legacy ? { legacyDecorator: true } : { decoratorVersion: '2022-03' },
    },
    module: { type: 'commonjs' },
  })
  return code
}

async function byEsbuild(legacy: boolean): Promise<string> {
  const compilerOptions = { experimentalDecorators: legacy }
  const { stdout } = await run(join(root, 'node_modules/.bin/esbuild'), [
    ...[fixture, '--format=cjs', '--target=es2022', `--tsconfig-raw=${JSON.stringify({ compilerOptions })}`],
  ])
  return stdout
}

function load(code: string): typeof Products {
  const module = { exports: {} as { Products: typeof Products } }
  const require = (): typeof holdfast => holdfast
  new Function('module', 'exports', 'require', code)(module, module.exports, require)
  return module.exports.Products
}

describe.each([
  ['TypeScript', byTypeScript],
  ['SWC', bySwc],
  ['esbuild', byEsbuild],
])('compiled by %s', (_name, compile) => {
  it.each([
    ['standard', false],
    ['experimental', true],
  ])(
    '%s decorators cache by arguments and invalidate by tags',
    async (_kind, legacy) => {
      const Compiled = load(await compile(legacy))
      const products = new Compiled(one.cache)
      expect(await products.find(1, { a: 1, b: 2 })).toEqual({ id: 1, run: 1 })
      expect(await products.find(1, { b: 2, a: 1 })).toEqual({ id: 1, run: 1 })
      expect(await products.find(2)).toEqual({ id: 2, run: 2 })
      expect(await products.rename(1)).toBe('renamed 1')
      expect((await products.find(1, { a: 1, b: 2 })).run).toBe(3)
      expect((await products.find(2)).run).toBe(2)
      expect(await products.name(7)).toBe('product 7, run 4')
      expect(await one.cache.get('name:7')).toBe('product 7, run 4')
      // What failed has changed nothing.
      await expect(products.fail()).rejects.toThrow('the source refused')
      expect(await products.name(7)).toBe('product 7, run 4')
    },
    120_000,
  )
})

it('say what is missing', () => {
  const method = holdfast.cacheable()(async () => 1, { kind: 'method', name: 'x' } as never)
  expect(() => method.call({})).toThrow(/property `cache`/)
})
