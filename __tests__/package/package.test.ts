import { mustRun } from './run.js'
import { bin, pack, root, type Tarball } from './scratch.js'

let tarball: Tarball

beforeAll(async () => {
  tarball = await pack()
})
afterAll(() => tarball.remove())

const node = (...args: string[]) => mustRun(process.execPath, args, { cwd: root })

const published = new Set(['dist', 'src', 'docs', 'README.md', 'CHANGELOG.md', 'LICENSE', 'package.json'])

test('publint has nothing to say', async () => {
  expect(await node(bin('publint', 'src/cli.js'), tarball.path, '--strict')).toContain('All good!')
})

test('types resolve from ESM, CommonJS and bundlers', async () => {
  await node(bin('@arethetypeswrong/cli', 'dist/index.js'), tarball.path, '--profile', 'node16', '--no-color')
})

test('the tarball carries both builds, their sources and the papers, and no tests', () => {
  expect(tarball.files).toEqual(
    expect.arrayContaining([
      'dist/esm/index.js',
      'dist/cjs/index.js',
      'dist/cjs/package.json',
      'src/index.ts',
      'LICENSE',
    ]),
  )
  const topLevel = new Set(tarball.files.map((file) => file.split('/')[0]))
  expect([...topLevel].filter((name) => !published.has(name as string))).toEqual([])
  expect(tarball.files.filter((file) => /test|spec|\.env|bench/.test(file))).toEqual([])
})
