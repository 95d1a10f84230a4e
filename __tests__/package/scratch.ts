import { copyFile, cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { mustRun } from './run.js'

export const root: string = resolve(__dirname, '../..')

/** The script behind a command of one of our own development dependencies. */
export function bin(packageName: string, script: string): string {
  return join(root, 'node_modules', packageName, script)
}

export interface Tarball {
  path: string
  files: string[]
  remove(): Promise<void>
}

export async function pack(): Promise<Tarball> {
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-pack-'))
  const output = await mustRun(
    'npm',
    ['pack', '--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', dir],
    { cwd: root },
  )
  const [packed] = JSON.parse(output.slice(output.indexOf('['))) as { filename: string; files: { path: string }[] }[]
  if (!packed) throw new Error(`npm pack answered ${output}`)
  return {
    path: join(dir, packed.filename),
    files: packed.files.map(({ path }) => path),
    remove: () => rm(dir, { recursive: true }),
  }
}

export interface Scratch {
  dir: string
  remove(): Promise<void>
}

/** A project of its own that has the packed tarball and the given packages installed, and our consumers in it. */
export async function createScratch(tarball: Tarball, packages: readonly string[]): Promise<Scratch> {
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-scratch-'))
  await writeFile(join(dir, 'package.json'), '{ "name": "scratch", "private": true }\n')
  await cp(join(__dirname, 'consumers'), dir, { recursive: true })
  await copyFile(join(dir, 'typed.mts'), join(dir, 'typed.cts'))
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error']
  await mustRun('npm', ['install', '--prefer-offline', ...quiet, tarball.path, ...packages], { cwd: dir })
  return { dir, remove: () => rm(dir, { recursive: true }) }
}
