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
export function callSafely(call: () => unknown, onError: (error: unknown) => void): void {
  try {
    const result = call()
    if (types.isPromise(result)) result.catch(onError)
  } catch (error) {
    onError(error)
  }
}

/** One listener that fails harms neither the others nor the emitter. */
export function createEmitter<Catalogue>(onError: (error: unknown) => void): Emitter<Catalogue> {
  const listeners = new Map<keyof Catalogue, Set<(event: never) => unknown>>()
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
      const set = listeners.get(type)
      if (set === undefined) return
      for (const listener of set) callSafely(() => listener(event as never), onError)
    },
    listens: (type) => (listeners.get(type)?.size ?? 0) > 0,
  }
}
