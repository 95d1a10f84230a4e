import type { Bus } from './bus.js'
import type { CacheKeys } from './keyspace.js'
import type { PendingInvalidations } from './pending.js'
import type { StoreOptions } from './store-types.js'

/** What a namespace has once, for all its scopes. */
export interface SharedState {
  readonly bus: Bus
  readonly pending: PendingInvalidations
  /** Grows with every invalidation this process makes. */
  epoch: number
}

/** What the parts of a store work with. */
export interface StoreContext<Value> {
  readonly options: StoreOptions<Value>
  readonly keys: CacheKeys
  readonly shared: SharedState
}

/** The last arguments of scripts that tell of a change. */
export function newsOf({ options, shared }: StoreContext<unknown>): [channel: string, always: string] {
  return [shared.bus.channel, options.publishes?.() ? '1' : '0']
}

/** This process changed the key: its copy goes at once, before the server tells of it. */
export function forget({ options, keys }: StoreContext<unknown>, key: string): void {
  options.local?.tier.changed(keys.entry(key))
}
