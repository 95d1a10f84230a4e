import { createRedisManager } from 'holdfast'
import { createApp, createMails } from './app.js'
import { startWorker } from './worker.js'

const redis = createRedisManager({ url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' })
const mails = createMails(redis)
// Half of all deliveries fail, as on a bad day.
startWorker(redis, mails, async ({ to, subject }) => {
  if (Math.random() < 0.5) throw new Error('the mail server is busy')
  console.log(`delivered "${subject}" to ${to}`)
})
const server = createApp(redis, mails).listen(3000, () => {
  const json = "-H 'Content-Type: application/json'"
  console.log(`curl -X POST ${json} -d '{"to":"ada@example.org","subject":"Ahoy"}' localhost:3000/mails`)
  console.log(`curl -X POST ${json} -d '{"to":"nowhere","subject":"Ahoy","id":"m1"}' localhost:3000/mails`)
  console.log('curl localhost:3000/mails/dead    # then POST /mails/dead/m1/retry')
})

process.once('SIGTERM', () => {
  // First the work in hand, then the connections.
  server.close(async () => {
    await mails.close()
    await redis.close()
  })
})
