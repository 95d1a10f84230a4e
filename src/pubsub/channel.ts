import { ConfigurationError } from '../shared/errors.js'
import { aBoolean, checkOptions, type Rules, show } from '../shared/options.js'
import type { StandardSchema } from './schema.js'

/** A named channel and the type of its messages: `Input` is published, `Output` received. */
export interface Channel<Input, Output = Input> {
  readonly parts: readonly string[]
  readonly schema: StandardSchema<Input, Output> | undefined
  readonly sharded: boolean
  /** A channel below this one, for messages of the same type: `orders.at('eu', 17)`. */
  at(...parts: readonly (string | number)[]): Channel<Input, Output>
  /**
   * Every channel below this one, however deep, and not this one itself. For subscribing only, and not where channels
   * are sharded.
   */
  readonly below: ChannelPattern<Input, Output>
}

/** All channels below one. Made by {@link Channel.below}. */
export interface ChannelPattern<Input, Output = Input> {
  readonly parts: readonly string[]
  readonly schema: StandardSchema<Input, Output> | undefined
  readonly sharded: boolean
  readonly pattern: true
}

export interface ChannelOptions<Input, Output = Input> {
  /** Any Standard Schema (Zod, Valibot, ArkType …) that answers synchronously; checked when sent and when received. */
  readonly schema?: StandardSchema<Input, Output> | undefined
  /**
   * On a Cluster of Redis 7 or later a message goes through the one master that owns the channel's slot, instead of
   * through every node. No difference elsewhere, except that {@link Channel.below} cannot be subscribed to. The same in
   * every process. @default false
   */
  readonly sharded?: boolean | undefined
}

const rules: Rules<ChannelOptions<unknown>> = {
  schema: {
    expected: 'a Standard Schema (standardschema.dev)',
    accepts: (value) => typeof (value as Partial<StandardSchema> | null)?.['~standard']?.validate === 'function',
  },
  sharded: aBoolean,
}

const MAX_PART = 200
const MAX_PARTS = 16

/**
 * Names a channel and gives its messages a type. Names are data: any text of 1 to 200 characters, which cannot reach
 * another channel. Throws a `ConfigurationError` for a name that is none.
 *
 * @example
 * ```ts
 * import { defineChannel } from 'holdfast/pubsub'
 *
 * interface Order { id: number; total: number }
 * export const orders = defineChannel<Order>('orders')
 * export const european = orders.at('eu')
 * ```
 */
export function defineChannel<Input, Output = Input>(
  name: string,
  options: ChannelOptions<Input, Output> = {},
): Channel<Input, Output> {
  checkOptions('defineChannel', options, rules)
  const { schema, sharded = false } = options
  return channel([aPart(name)], schema, sharded)
}

function channel<Input, Output>(
  parts: readonly string[],
  schema: StandardSchema<Input, Output> | undefined,
  sharded: boolean,
): Channel<Input, Output> {
  if (parts.length > MAX_PARTS) {
    throw new ConfigurationError('defineChannel', 'name', `must have at most ${MAX_PARTS} parts, got ${parts.length}`)
  }
  return {
    parts,
    schema,
    sharded,
    at: (...more) => channel([...parts, ...more.map(aPart)], schema, sharded),
    below: { parts, schema, sharded, pattern: true },
  }
}

function aPart(part: unknown): string {
  const text = typeof part === 'number' ? String(part) : part
  if (typeof text !== 'string' || text === '' || text.length > MAX_PART || !text.isWellFormed()) {
    throw new ConfigurationError('defineChannel', 'name', `must be 1 to ${MAX_PART} characters, got ${show(part)}`)
  }
  return text
}
