import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { mustRun } from './run.js'
import { root } from './scratch.js'

type Exports = Record<string, string | { import: { default: string } }>

const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Exports }

const features = Object.entries(exports).flatMap(([subpath, target]) => {
  const folder = typeof target === 'object' && /^\.\/dist\/esm\/([^/]+)\/index\.js$/.exec(target.import.default)?.[1]
  return folder ? [{ subpath: subpath.replace('.', 'holdfast'), folder }] : []
})

const ground = ['shared', 'redis']
const mayAlsoLoad: Record<string, string[]> = {
  'response-cache': ['cache'],
}

describe.each(features)('$subpath', ({ subpath, folder }) => {
  const allowed = new Set([...ground, folder, ...(mayAlsoLoad[folder] ?? [])])

  test.each([
    ['import', loadedByImport],
    ['require', loadedByRequire],
  ])('%s loads no other feature', async (_, loadedBy) => {
    const folders = foldersOf(await loadedBy(subpath))
    expect(folders).toContain(folder)
    expect(folders.filter((name) => !allowed.has(name))).toEqual([])
  })
})

test.each([
  ['import', loadedByImport],
  ['require', loadedByRequire],
])('%s of the whole package leaves sessions and their dependencies alone', async (_, loadedBy) => {
  const loaded = await loadedBy('holdfast')
  expect(loaded.length).toBeGreaterThan(0)
  expect(loaded.filter((file) => /express-session|connect-redis|dist\/[^/]+\/session\//.test(file))).toEqual([])
})

function foldersOf(loaded: string[]): string[] {
  const folders = loaded.flatMap((file) => /\/dist\/(?:esm|cjs)\/([^/]+)\/.+\.js$/.exec(file)?.[1] ?? [])
  return [...new Set(folders)]
}

// The package's name resolves to its own build from inside its own folder, as it does for a consumer.
async function loadedByRequire(subpath: string): Promise<string[]> {
  const script = `require('${subpath}'); console.log(Object.keys(require.cache).join('\\n'))`
  return lines(await mustRun(process.execPath, ['-e', script], { cwd: root }))
}

async function loadedByImport(subpath: string): Promise<string[]> {
  const hooks = `
    import { writeSync } from 'node:fs'
    export async function load(url, context, next) {
      writeSync(1, url + '\\n')
      return next(url, context)
    }`
  const asUrl = (source: string) => `data:text/javascript,${encodeURIComponent(source)}`
  const register = `import { register } from 'node:module'; register(${JSON.stringify(asUrl(hooks))})`
  // Required files do not pass through the loader: without their list, a CommonJS dependency would go unseen.
  const script = `
    import { createRequire } from 'node:module'
    await import('${subpath}')
    console.log(Object.keys(createRequire(process.cwd() + '/x').cache).join('\\n'))`
  const args = ['--import', asUrl(register), '--input-type=module', '-e', script]
  return lines(await mustRun(process.execPath, args, { cwd: root }))
}

function lines(output: string): string[] {
  return output.split('\n').filter((line) => line.includes('/'))
}
