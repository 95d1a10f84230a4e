export { isPayloadError, PayloadError, type PayloadProblem } from '../shared/payload.js'
export { type Channel, type ChannelOptions, type ChannelPattern, defineChannel } from './channel.js'
export type { MessageGap, MessageInvalid } from './events.js'
export {
  type ChannelSubscription,
  createPubSub,
  type MessageInfo,
  type PublishResult,
  type PubSub,
  type PubSubOptions,
  type SubscribeOptions,
} from './pubsub.js'
export type { SchemaIssue, SchemaResult, StandardSchema } from './schema.js'
