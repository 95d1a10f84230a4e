/** Every server that can be measured: its file, the group it belongs to. The baseline of every group is `express-json`. */
export const variants = [
  { name: 'express-json', group: 'baseline' },
  { name: 'holdfast-cache-redis', group: 'cache-1k' },
  { name: 'seed-ioredis', group: 'cache-1k' },
  { name: 'apicache-memory', group: 'cache-1k' },
  { name: 'holdfast-limit', group: 'limit' },
  { name: 'express-rate-limit-redis', group: 'limit' },
  { name: 'holdfast-session', group: 'session' },
  { name: 'express-session-connect-redis', group: 'session' },
  { name: 'express-json-fast-server', group: 'server' },
  { name: 'node-http', group: 'server' },
]
