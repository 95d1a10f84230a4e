import { type Channel, channel } from 'node:diagnostics_channel'
import { types } from 'node:util'

/** Undoes what returned it; calling it twice is harmless. */
export type Unsubscribe = () => void

/** Typed events for a catalogue of `{ [type]: payload }`. */
export interface Emitter<Catalogue> {
  on<Type extends keyof Catalogue>(type: Type, listener: (event: Catalogue[Type]) => void): Unsubscribe
  emit<Type extends keyof Catalogue>(type: Type, event: Catalogue[Type]): void
  /** True where somebody listens: lets hot paths skip building an event. */
  listens(type: keyof Catalogue): boolean
}

/** Calls what the user gave us; what it throws, or rejects with, goes to `onError` and nowhere else. */
export function callSafely<Args extends unknown[]>(
  call: (...args: Args) => unknown,
  onError: (error: unknown) => void,
  ...args: Args
): void {
  try {
    const result = call(...args)
    if (types.isPromise(result)) result.catch(onError)
  } catch (error) {
    onError(error)
  }
}

/**
 * One listener that fails harms neither the others nor the emitter. With a name, each event is also published to the
 * diagnostics channel `name:type`, which costs one look at the channel while nobody subscribes.
 */
export function createEmitter<Catalogue>(onError: (error: unknown) => void, name?: string): Emitter<Catalogue> {
  const listeners = new Map<keyof Catalogue, Set<(event: never) => unknown>>()
  const channels = new Map<keyof Catalogue, Channel>()
  const channelOf = (type: keyof Catalogue): Channel | undefined => {
    if (name === undefined) return undefined
    let found = channels.get(type)
    if (found === undefined) {
      found = channel(`${name}:${String(type)}`)
      channels.set(type, found)
    }
    return found
  }
  return {
    on(type, listener) {
      const set = listeners.get(type) ?? new Set()
      listeners.set(type, set)
      // A wrapper of its own, so that subscribing one function twice needs two unsubscriptions.
      const own = (event: never): unknown => listener(event)
      set.add(own)
      return () => {
        set.delete(own)
      }
    },
    emit(type, event) {
      const published = channelOf(type)
      if (published?.hasSubscribers) published.publish(event)
      const set = listeners.get(type)
      if (set === undefined) return
      for (const listener of set) callSafely(listener, onError, event as never)
    },
    listens: (type) => (listeners.get(type)?.size ?? 0) > 0 || channelOf(type)?.hasSubscribers === true,
  }
}
