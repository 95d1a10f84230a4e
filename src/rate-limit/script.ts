import { defineScript, type Script } from '../redis/index.js'
import { decisionLua } from './decision-lua.js'
import type { Inlined } from './shortcut-lua.js'

/** Takes the time from Redis, so that no application clock can widen a window. */
const CLOCK = "redis.call('TIME')"

export const decideScript: Script<number[]> = defineScript({ name: 'rate-limit.decide', lua: decisionLua(CLOCK) })

/**
 * The same for a limiter whose numbers are known: a request is its key. Only for numbers that stay for the life of a
 * process: Redis keeps every script.
 */
export function decideScriptFor(inlined: Inlined): Script<number[]> {
  return defineScript({ name: 'rate-limit.decide', lua: decisionLua(CLOCK, inlined) })
}
