import { spawn } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
const modules = ['--outDir', 'dist/esm']
const commonjs = [
  ...['--outDir', 'dist/cjs', '--module', 'commonjs', '--moduleResolution', 'bundler'],
  ...['--verbatimModuleSyntax', 'false'],
]

await rm(join(root, 'dist'), { recursive: true, force: true })
await mkdir(join(root, 'dist', 'cjs'), { recursive: true })
await writeFile(join(root, 'dist', 'cjs', 'package.json'), '{ "type": "commonjs" }\n')

const codes = await Promise.all([compile(modules), compile(commonjs)])
process.exitCode = Math.max(...codes)

function compile(target: string[]): Promise<number> {
  const args = [compiler, '-p', 'tsconfig.build.json', ...target]
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? 1))
  })
}
