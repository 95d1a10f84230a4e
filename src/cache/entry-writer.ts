import type { Script, ScriptArgument } from '../redis/index.js'
import { encodeEntry, encodeFront, lifeOf, type Seen } from './entry.js'
import { randomText } from './random.js'
import { markOf } from './reading.js'
import {
  acquireScript,
  appendScript,
  fillScript,
  putScript,
  releaseScript,
  renewScript,
  TOKEN_LENGTH,
  touchScript,
} from './scripts.js'
import type { Snapshots } from './snapshots.js'
import { forget, newsOf, type StoreContext } from './store-context.js'
import { type BeginOptions, type Begun, type Draft, type Snapshot, stampOf } from './store-types.js'
import type { Resident } from './tier.js'

/** Leases, and what is written under them or without. */
export class EntryWriter {
  readonly #context: StoreContext<unknown>
  readonly #snapshots: Snapshots

  constructor(context: StoreContext<unknown>, snapshots: Snapshots) {
    this.#context = context
    this.#snapshots = snapshots
  }

  begin(key: string, { tags, lifetimeMs, leaseMs, seen, force = false }: BeginOptions): Promise<Begun> {
    const { options, shared } = this.#context
    if (shared.pending.any) return Promise.resolve({ state: 'away' })
    const token = randomText((TOKEN_LENGTH / 4) * 3)
    return options.redis.attempt<Begun>(
      `${options.feature}.begin`,
      async (client) => {
        const [taken, snapshot] = await Promise.all([
          acquireScript.run(client, this.#pair(key), [token, leaseMs, seen, force ? '1' : '0']),
          this.#snapshots.takeWith(client, tags, lifetimeMs),
        ])
        if (taken === 1) return { state: 'leading', token, snapshot }
        return taken === 2 ? { state: 'changed' } : { state: 'busy', leaseLeftMs: -taken }
      },
      () => ({ state: 'away' }),
    )
  }

  fill(key: string, token: string, draft: Draft, snapshot: Snapshot): Promise<boolean> {
    const args = [token, this.#frame(draft, snapshot), lifeOf(draft), ...newsOf(this.#context)]
    return this.#run('fill', fillScript, key, args)
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.#run('renew', renewScript, key, [token, leaseMs])
  }

  release(key: string, token: string): Promise<boolean> {
    return this.#run('release', releaseScript, key, [token, this.#context.shared.bus.channel])
  }

  async write(key: string, draft: Draft, snapshot: Snapshot): Promise<boolean> {
    const life = lifeOf(draft)
    if (life <= 0) return false
    return this.#run('write', putScript, key, [this.#frame(draft, snapshot), life, ...newsOf(this.#context)])
  }

  async touch(key: string, seen: Resident<unknown>, freshUntil: number, staleUntil: number): Promise<boolean> {
    const ends = Buffer.alloc(16)
    ends.writeDoubleBE(freshUntil, 0)
    ends.writeDoubleBE(staleUntil, 8)
    const life = Math.max(1, lifeOf({ staleUntil }))
    return this.#run('touch', touchScript, key, [markOf(seen), ends, life, ...newsOf(this.#context)])
  }

  append(key: string, seen: Seen, metadata: Buffer, more: Buffer): Promise<boolean> {
    const after = encodeFront({ ...seen, metadata, bodyLength: seen.bodyLength + more.length })
    return this.#run('append', appendScript, key, [encodeFront(seen), after, more, ...newsOf(this.#context)])
  }

  #frame(draft: Draft, { dependencies }: Snapshot): Buffer {
    return encodeEntry({ ...draft, dependencies: [...dependencies, ...stampOf(this.#context.options)] })
  }

  #run(operation: string, script: Script<number>, key: string, args: readonly ScriptArgument[]): Promise<boolean> {
    const { options } = this.#context
    return options.redis.attempt(
      `${options.feature}.${operation}`,
      async (client) => {
        const done = (await script.run(client, this.#pair(key), args)) === 1
        if (done && operation !== 'renew' && operation !== 'release') forget(this.#context, key)
        return done
      },
      () => false,
    )
  }

  #pair(key: string): [string, string] {
    return [this.#context.keys.entry(key), this.#context.keys.lease(key)]
  }
}
