import { mustRun } from './run.js'
import { bin, createScratch, pack, type Scratch, type Tarball } from './scratch.js'

let tarball: Tarball

beforeAll(async () => {
  tarball = await pack()
})
afterAll(() => tarball.remove())

describe.each([
  { framework: 'Express 5', packages: ['express@5'] },
  { framework: 'Express 4', packages: ['express@4', '@types/express@4', 'typescript@5'] },
])('with $framework', ({ packages }) => {
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
    await node(bin('typescript', 'bin/tsc'), '-p', 'tsconfig.consumer.json')
  })

  if (!packages.includes('typescript@5')) return

  // Checking every library takes this compiler a quarter of a minute.
  test('TypeScript 5 accepts the types as well', async () => {
    await node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.consumer.json', '--skipLibCheck')
  })
})
