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
    // Most return nothing, and the question to the engine is dearer than the call.
    if (typeof result === 'object' && types.isPromise(result)) result.catch(onError)
  } catch (error) {
    onError(error)
  }
}

/**
 * One listener that fails harms neither the others nor the emitter. With a name, each event is also published to the
 * diagnostics channel `name:type`, which costs one look at the channel while nobody subscribes.
 */
export function createEmitter<Catalogue>(onError: (error: unknown) => void, name?: string): Emitter<Catalogue> {
  const topics = new Map<keyof Catalogue, Topic>()
  const topicOf = (type: keyof Catalogue): Topic => {
    let found = topics.get(type)
    if (found === undefined) {
      found = { channel: name === undefined ? undefined : channel(`${name}:${String(type)}`), listeners: [] }
      topics.set(type, found)
    }
    return found
  }
  return {
    on(type, listener) {
      const topic = topicOf(type)
      // A wrapper of its own, so that subscribing one function twice needs two unsubscriptions.
      const own = (event: never): unknown => listener(event)
      topic.listeners = [...topic.listeners, own]
      return () => {
        topic.listeners = topic.listeners.filter((each) => each !== own)
      }
    },
    emit(type, event) {
      const { channel: published, listeners } = topicOf(type)
      if (published?.hasSubscribers) published.publish(event)
      for (const listener of listeners) callSafely(listener, onError, event as never)
    },
    listens(type) {
      const { channel: published, listeners } = topicOf(type)
      return listeners.length > 0 || published?.hasSubscribers === true
    },
  }
}

interface Topic {
  readonly channel: Channel | undefined
  /** Replaced, never changed: who comes or goes during an event does not change who hears it. */
  listeners: readonly ((event: never) => unknown)[]
}
