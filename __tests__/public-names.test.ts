import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'

interface Entry {
  readonly import: { readonly default: string }
}

const root = join(__dirname, '..')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, Entry> }
const subpaths = Object.keys(manifest.exports).filter((name) => name !== './package.json')

describe('the public names', () => {
  it.each(subpaths)('of %s are what the snapshot says: every change is a visible line', (subpath) => {
    const built = manifest.exports[subpath]?.import.default ?? ''
    const source = join(root, built.replace('./dist/esm/', 'src/').replace(/\.js$/, ''))
    expect(Object.keys(require(source)).sort()).toMatchSnapshot()
  })
})
