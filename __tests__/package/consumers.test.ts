import { mustRun } from './run.js'
import { bin, createScratch, pack, type Scratch, type Tarball } from './scratch.js'

let tarball: Tarball

beforeAll(async () => {
  tarball = await pack()
})
afterAll(() => tarball.remove())

const theirCompiler = 'node_modules/typescript/bin/tsc'
const current = { framework: 'Express 5', packages: ['express@5'], compilers: [bin('typescript', 'bin/tsc')] }
const previous = {
  framework: 'Express 4',
  packages: ['express@4', '@types/express@4', 'typescript@5'],
  compilers: [bin('typescript', 'bin/tsc'), theirCompiler],
}

describe.each([current, previous])('with $framework', ({ packages, compilers }) => {
  let scratch: Scratch

  beforeAll(async () => {
    scratch = await createScratch(tarball, packages)
  }, 120_000)
  afterAll(() => scratch.remove())

  const node = (...args: string[]) => mustRun(process.execPath, args, { cwd: scratch.dir })

  test('an ES module serves requests', async () => {
    expect(await node('esm.mjs')).toContain('served')
  })

  test('a CommonJS script serves requests', async () => {
    expect(await node('commonjs.cjs')).toContain('served')
  })

  test('a CommonJS Jest project can test an app that uses it', async () => {
    const output = await node(bin('jest', 'bin/jest.js'), '--json', '--config', '{"testEnvironment":"node"}')
    expect(JSON.parse(output)).toMatchObject({ success: true, numPassedTests: 1 })
  })

  test('strict TypeScript accepts the types from ES modules and CommonJS, library checks included', async () => {
    for (const tsc of compilers) await node(tsc, '-p', 'tsconfig.consumer.json')
  })
})
