import { execFileSync } from 'node:child_process'
import { findOnPath } from './find-redis.js'

interface PackageManager {
  command: string
  steps: string[][]
  asRoot: boolean
}

const managers: PackageManager[] = [
  {
    command: 'apt-get',
    steps: [['update'], ['install', '-y', '--no-install-recommends', 'redis-tools', 'openssl']],
    asRoot: true,
  },
  { command: 'apk', steps: [['add', '--no-cache', 'redis', 'openssl']], asRoot: true },
  { command: 'dnf', steps: [['install', '-y', 'redis', 'openssl']], asRoot: true },
  { command: 'brew', steps: [['install', 'redis', 'openssl']], asRoot: false },
]

/** Installs what the tests run on, saying so. Returns quietly where it cannot: the caller looks again and reports. */
export function installPackages(): void {
  const manager = managers.find(({ command }) => findOnPath([command]))
  if (!manager) return
  const prefix = manager.asRoot ? becomeRoot() : []
  if (!prefix) return
  for (const step of manager.steps) {
    const [program = manager.command, ...args] = [...prefix, manager.command, ...step]
    console.log(`ensure-redis: ${[program, ...args].join(' ')}`)
    try {
      execFileSync(program, args, {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      })
    } catch {
      console.error(`ensure-redis: ${manager.command} ${step[0]} failed`)
      return
    }
  }
}

function becomeRoot(): string[] | undefined {
  if (process.getuid?.() === 0) return []
  const sudo = findOnPath(['sudo'])
  if (!sudo) return undefined
  try {
    execFileSync(sudo, ['-n', 'true'], { stdio: 'ignore' })
    return [sudo, '-n']
  } catch {
    return undefined
  }
}
