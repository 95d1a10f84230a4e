import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from '@jest/globals'

const root = join(__dirname, '..')
const folder = join(root, 'node_modules', '.cache', 'holdfast-snippets')

interface Snippet {
  readonly from: string
  readonly code: string
}

const BLOCK = /^```ts\n([\s\S]*?)^```/gm

function inMarkdown(path: string): Snippet[] {
  const text = readFileSync(join(root, path), 'utf8')
  return [...text.matchAll(BLOCK)].map(([, code = ''], index) => ({ from: `${path}#${index + 1}`, code }))
}

function inComments(path: string): Snippet[] {
  const comments = readFileSync(join(root, path), 'utf8').match(/\/\*\*[\s\S]*?\*\//g) ?? []
  return comments.flatMap((comment, at) => {
    const text = comment.replace(/^\s*\* ?/gm, '')
    return [...text.matchAll(BLOCK)].map(([, code = ''], index) => ({ from: `${path}@${at + 1}.${index + 1}`, code }))
  })
}

const list = (dir: string, ending: string): string[] =>
  readdirSync(join(root, dir), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(ending))
    .map((path) => join(dir, path))

describe('every snippet of the README, the pages and the doc comments', () => {
  it('type-checks as a program of its own against the public API', async () => {
    const snippets = [
      ...['README.md', ...list('docs', '.md')].flatMap(inMarkdown),
      ...list('src', '.ts').flatMap(inComments),
    ]
    expect(snippets.length).toBeGreaterThan(5)
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    const names = snippets.map(({ from, code }) => {
      const name = `${from.replace(/[^A-Za-z0-9.]+/g, '_')}.ts`
      // A module each, whatever it imports, so that no snippet sees another one's names.
      writeFileSync(join(folder, name), `${code}\nexport {}\n`)
      return name
    })
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        extends: join(root, 'tsconfig.json'),
        compilerOptions: {
          isolatedDeclarations: false,
          declaration: false,
          rootDir: root,
          typeRoots: [join(root, 'node_modules', '@types')],
          paths: { holdfast: [join(root, 'src/index.ts')], 'holdfast/*': [join(root, 'src/*/index.ts')] },
        },
        include: [],
        files: names,
      }),
    )
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', folder]).catch(
      (error: { stdout: string }) => error,
    )
    expect(stdout.split('\n').filter((line) => line.includes('error TS'))).toEqual([])
  }, 120_000)
})
