import slotOf from 'cluster-key-slot'
import { callSafely } from '../shared/emitter.js'
import { isUnknownCommand } from './describe.js'
import type { Shards } from './shards.js'
import {
  createLine,
  type Line,
  type LineSubscription,
  type MessageHandler,
  PASSING,
  until,
} from './subscription-line.js'

export interface ShardSubscriberOptions {
  readonly shards: Shards
  /** Serves the channels whose server is too old to know shard channels. */
  readonly plain: Line
  readonly onError: (error: unknown) => void
  readonly onRefused: (error: Error) => void
}

export interface ShardSubscriber {
  subscribe(channel: string, handler: MessageHandler, onGap: (() => void) | undefined): LineSubscription
  close(): void
}

interface Wanted {
  /** Subscribed, or refused for a reason that asking again at once cannot change. */
  readonly settled: boolean
  /** Goes to where the slot is now. */
  follow(): void
  close(): void
}

const LOOK_EVERY = 500
/** Looks between two attempts of what a server has refused. */
const RETRY_AFTER = 10

/**
 * Subscriptions to shard channels: one connection per master that owns a wanted one. They follow their slots to other
 * masters, and a gap is announced whenever one was interrupted. The owner of the slot decides alone whether a channel is
 * sharded, for subscribers as for publishers, so that the two agree even while a Cluster is being upgraded.
 */
export function createShardSubscriber({ shards, plain, onError, onRefused }: ShardSubscriberOptions): ShardSubscriber {
  const wanted = new Set<Wanted>()
  const lines = new Map<string, Line>()
  let timer: NodeJS.Timeout | undefined
  let looks = 0
  let closed = false

  function lineTo(owner: string): Line {
    const line = lines.get(owner) ?? createLine({ open: () => shards.open(owner), onError, onLost: shards.refresh })
    lines.set(owner, line)
    return line
  }

  function look(): void {
    for (const one of wanted) one.follow()
    for (const [owner, line] of lines) if (line.idle) lines.delete(owner)
    const unsettled = [...wanted].some(({ settled }) => !settled)
    if (unsettled) shards.refresh()
    if (unsettled || ++looks % RETRY_AFTER === 0) for (const line of lines.values()) line.retry()
  }

  function subscribe(channel: string, handler: MessageHandler, onGap: (() => void) | undefined): LineSubscription {
    const slot = slotOf(channel)
    const waiting = new Set<() => void>()
    let owner: string | undefined
    let current: LineSubscription | undefined
    let instead: LineSubscription | undefined
    let heard = false
    let missed = false
    let refused = false

    const isConfirmed = (): boolean => (current?.confirmed || instead?.confirmed) === true
    const onConfirmed = (): void => {
      heard = true
      for (const resolve of waiting) resolve()
    }
    const one: Wanted = {
      get settled() {
        return refused || current?.confirmed === true
      },
      follow() {
        const now = shards.ownerOf(slot)
        if (now === undefined || now === owner) return
        owner = now
        refused = false
        missed = heard
        const last = current
        current = lineTo(now).subscribe('shard', channel, handler, {
          onGap,
          onConfirmed() {
            refused = false
            // Before the server knew shard channels; since then messages went past it.
            missed ||= instead !== undefined && heard
            instead?.close()
            instead = undefined
            onConfirmed()
            if (missed && onGap !== undefined) callSafely(onGap, onError)
            missed = false
          },
          onRefused(error) {
            if (PASSING.test(error.message)) return shards.refresh()
            refused = true
            if (!isUnknownCommand(error)) return onRefused(error)
            instead ??= plain.subscribe('channel', channel, handler, { onGap, onConfirmed, onRefused })
          },
        })
        last?.close()
      },
      close() {
        wanted.delete(one)
        current?.close()
        instead?.close()
        for (const resolve of waiting) resolve()
        if (wanted.size > 0) return
        clearInterval(timer)
        timer = undefined
      },
    }
    if (!closed) {
      wanted.add(one)
      timer ??= setInterval(look, LOOK_EVERY).unref()
      one.follow()
    }
    return {
      get confirmed() {
        return isConfirmed()
      },
      ready: (timeoutMs) => (wanted.has(one) ? until(waiting, isConfirmed, timeoutMs) : Promise.resolve(false)),
      close: one.close,
    }
  }

  return {
    subscribe,
    close() {
      closed = true
      for (const one of [...wanted]) one.close()
      for (const line of lines.values()) line.close()
      lines.clear()
    },
  }
}
