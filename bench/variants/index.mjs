/** Every server that can be measured: its file, the group it belongs to. The baseline of every group is `express-json`. */
export const variants = [
  { name: 'express-json', group: 'baseline' },
  { name: 'holdfast-cache-redis', group: 'cache-1k' },
  { name: 'seed-ioredis', group: 'cache-1k' },
  { name: 'apicache-memory', group: 'cache-1k' },
  { name: 'holdfast-limit', group: 'limit' },
  { name: 'express-rate-limit-redis', group: 'limit' },
  { name: 'limit-rlf', group: 'limit' },
  { name: 'limit-two-holdfast', group: 'limit-two' },
  { name: 'limit-two-express-rate-limit', group: 'limit-two' },
  { name: 'blocked-holdfast', group: 'blocked' },
  { name: 'blocked-rlf', group: 'blocked' },
  { name: 'blocked-express-rate-limit', group: 'blocked' },
  { name: 'holdfast-session', group: 'session' },
  { name: 'express-session-connect-redis', group: 'session' },
  { name: 'express-json-fast-server', group: 'server' },
  { name: 'node-http', group: 'server' },
]
