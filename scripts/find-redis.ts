import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const cachedRedis: string = fileURLToPath(
  new URL('../node_modules/.cache/redis-bin/redis-server', import.meta.url),
)

export function findOnPath(names: readonly string[]): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean)
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable)
}

export function findRedis(): string | undefined {
  const chosen = process.env.REDIS_SERVER_BIN
  if (chosen) {
    if (!isExecutable(chosen)) throw new Error(`REDIS_SERVER_BIN names ${chosen}, which is not an executable file`)
    return chosen
  }
  return findOnPath(['redis-server', 'valkey-server']) ?? (isExecutable(cachedRedis) ? cachedRedis : undefined)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
