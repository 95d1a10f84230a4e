/** Undoes what returned it; calling it twice is harmless. */
export type Unsubscribe = () => void

/** Typed events for a catalogue of `{ [type]: payload }`. */
export interface Emitter<Catalogue> {
  on<Type extends keyof Catalogue>(type: Type, listener: (event: Catalogue[Type]) => void): Unsubscribe
  emit<Type extends keyof Catalogue>(type: Type, event: Catalogue[Type]): void
  /** True where somebody listens: lets hot paths skip building an event. */
  listens(type: keyof Catalogue): boolean
}

/** `onError` receives what a listener threw, so that one listener harms neither the others nor the emitter. */
export function createEmitter<Catalogue>(onError: (error: unknown) => void): Emitter<Catalogue> {
  const listeners = new Map<keyof Catalogue, Set<(event: never) => void>>()
  return {
    on(type, listener) {
      const set = listeners.get(type) ?? new Set()
      listeners.set(type, set)
      // A wrapper of its own, so that subscribing one function twice needs two unsubscriptions.
      const own = (event: never): void => listener(event)
      set.add(own)
      return () => {
        set.delete(own)
      }
    },
    emit(type, event) {
      const set = listeners.get(type)
      if (set === undefined) return
      for (const listener of set) {
        try {
          listener(event as never)
        } catch (error) {
          onError(error)
        }
      }
    },
    listens: (type) => (listeners.get(type)?.size ?? 0) > 0,
  }
}
