import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from '@jest/globals'

const root = join(__dirname, '..')
const src = join(root, 'src')

interface Import {
  readonly target: string
  readonly typeOnly: boolean
}

interface Source {
  readonly path: string
  readonly feature: string
  readonly text: string
  readonly imports: readonly Import[]
}

/** Folders that stand on another feature on purpose, each with its reason in ARCHITECTURE.md. */
const STANDS_ON: Readonly<Record<string, readonly string[]>> = { 'response-cache': ['cache'] }
const GROUND = ['shared', 'redis']

const sources = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map(read)
const features = [...new Set(sources.map(({ feature }) => feature))].filter((name) => name !== 'index.ts')

function read(path: string): Source {
  const text = readFileSync(join(src, path), 'utf8')
  const statements = text.matchAll(/^(?:import|export)\s+(type\s)?([^'";]*?)from\s+'([^']+)'|^import\s+'([^']+)'/gm)
  const imports = [...statements].map(([, type, names = '', target, bare]) => ({
    target: target ?? bare ?? '',
    typeOnly: type !== undefined || (names.includes('{') && everyNameIsType(names)),
  }))
  return { path, feature: path.split('/')[0] ?? '', text, imports }
}

function everyNameIsType(names: string): boolean {
  const list = names.slice(names.indexOf('{') + 1, names.indexOf('}')).split(',')
  return names.trim().startsWith('{') && list.every((name) => name.trim() === '' || /^type\s/.test(name.trim()))
}

/** Path of an imported file of ours below src, or undefined for a package. */
function ours(from: Source, { target }: Import): string | undefined {
  if (!target.startsWith('.')) return undefined
  return relative(src, resolve(src, dirname(from.path), target)).replace(/\.js$/, '.ts')
}

function offences(check: (source: Source) => readonly string[]): string[] {
  return sources.flatMap((source) => check(source).map((problem) => `${source.path}: ${problem}`))
}

describe('architecture', () => {
  it('lets imports point down only: shared ← redis ← features ← index', () => {
    expect(
      offences((source) =>
        source.imports.flatMap((each) => {
          const target = ours(source, each)?.split('/')[0]
          if (target === undefined || target === source.feature || source.feature === 'index.ts') return []
          const allowed =
            source.feature === 'shared'
              ? []
              : source.feature === 'redis'
                ? ['shared']
                : [...GROUND, ...standsOn(source)]
          return allowed.includes(target) ? [] : [`must not import ${target}`]
        }),
      ),
    ).toEqual([])
  })

  it('imports ioredis at run time in redis/ only', () => {
    expect(
      offences(({ feature, imports }) =>
        imports.some(({ target, typeOnly }) => target === 'ioredis' && !typeOnly) && feature !== 'redis'
          ? ['imports ioredis']
          : [],
      ),
    ).toEqual([])
  })

  it('knows Express in files named middleware.ts only, and never imports it at run time', () => {
    expect(
      offences(({ path, imports }) =>
        imports.flatMap(({ target, typeOnly }) => {
          if (target === 'express' && !typeOnly) return ['imports express at run time']
          const isMiddleware = path.endsWith('/middleware.ts')
          if (target === 'express' && !isMiddleware) return ['imports the types of express']
          return []
        }),
      ),
    ).toEqual([])
  })

  it('has no import cycles', () => {
    const graph = new Map(
      sources.map((source) => [
        source.path,
        source.imports.filter(({ typeOnly }) => !typeOnly).flatMap((each) => ours(source, each) ?? []),
      ]),
    )
    expect(findCycle(graph)).toBeUndefined()
  })

  it('never asks whether something is an instance of an ioredis class: two copies in one tree would differ', () => {
    expect(offences(({ text }) => (/instanceof (Redis|Cluster)\b/.test(text) ? ['uses instanceof'] : []))).toEqual([])
  })

  it('builds keys in redis/keys.ts only', () => {
    expect(
      offences(({ feature, text }) =>
        feature !== 'redis' && /keys\.prefix|keyPrefix\}/.test(text) ? ['reads the key prefix'] : [],
      ),
    ).toEqual([])
  })

  it('keeps src/index.ts and every folder’s index.ts a table of contents', () => {
    const contents = sources.filter(({ path }) => /(^|\/)index\.ts$/.test(path))
    for (const { path, text } of contents) {
      const statements = text
        .replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
        .split(/^(?=export|import)/m)
        .map((statement) => statement.trim())
      const logic = statements.filter(
        (statement) => statement !== '' && !/^export [\s\S]*from '[^']+'$/.test(statement),
      )
      expect({ path, logic }).toEqual({ path, logic: [] })
    }
  })

  it.each(features.filter((name) => !GROUND.includes(name)))(
    'gives %s a test folder, a page, an example, a README row and a subpath',
    (feature) => {
      const exported = Object.values(manifest().exports).some((entry) =>
        JSON.stringify(entry).includes(`/${feature}/index`),
      )
      expect(exported).toBe(true)
      expect(existsSync(join(root, '__tests__', feature))).toBe(true)
      const page = `docs/${feature}.md`
      expect(existsSync(join(root, page))).toBe(true)
      expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain(`(${page})`)
      const examples = readdirSync(join(root, 'examples'), { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.ts') && !path.includes('node_modules'))
        .map((path) => readFileSync(join(root, 'examples', path), 'utf8'))
      const names = Object.keys(manifest().exports).filter((name) =>
        JSON.stringify(manifest().exports[name]).includes(`/${feature}/index`),
      )
      const subpath = names[0]?.replace('./', 'holdfast/') ?? ''
      const symbols = [
        ...readFileSync(join(src, feature, 'index.ts'), 'utf8').matchAll(/\b([a-z]\w+)\b(?= *[,}])/g),
      ].map(([, name]) => name)
      expect(
        examples.some(
          (text) => text.includes(`'${subpath}'`) || symbols.some((name) => new RegExp(`\\b${name}\\(`).test(text)),
        ),
      ).toBe(true)
    },
  )
})

function standsOn(source: Source): readonly string[] {
  return STANDS_ON[source.feature] ?? []
}

function manifest(): { exports: Record<string, unknown> } {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
}

function findCycle(graph: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
    if (done.has(path)) return undefined
    for (const next of graph.get(path) ?? []) {
      const cycle = visit(next, [...trail, path])
      if (cycle !== undefined) return cycle
    }
    done.add(path)
    return undefined
  }
  for (const path of graph.keys()) {
    const cycle = visit(path, [])
    if (cycle !== undefined) return cycle
  }
  return undefined
}
