import { execFile } from 'node:child_process'

export interface RunOptions {
  cwd: string
}

/** Answers what the command printed; throws with all of it when the command fails. */
export function mustRun(command: string, args: readonly string[], { cwd }: RunOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { cwd, env: inherited(), maxBuffer: 64 * 1024 * 1024 }
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message.split('\n')[0]}\n${stdout}${stderr}`))
      else resolve(stdout)
    })
  })
}

// What npm and jest tell their children would make a consumer's npm or jest behave as part of this run.
function inherited(): Record<string, string | undefined> {
  const ours = /^(npm_(?!config_)|JEST_|NODE_ENV$|NODE_OPTIONS$|NODE_PATH$|INIT_CWD$)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)))
}
