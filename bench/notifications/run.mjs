import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { startRedis } from '../http/servers.mjs'

const ROUNDS = Number(process.argv[2] ?? 7)
const KINDS = ['plain ioredis', 'better-sse', 'holdfast']
/** One topic that all follow; and users with a stream each. */
const SCENES = {
  topic: { users: 200, count: 300, inFlight: 4, per: 200 },
  user: { users: 200, count: 8000, inFlight: 64, per: 1 },
}

const children = new Set()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})
function start(file, ...args) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args.map(String), {
    env: { ...process.env, NODE_ENV: 'production' },
  })
  children.add(child)
  return child
}
const answer = async (child, has) => {
  for (;;) {
    const [message] = await once(child, 'message')
    if (has in message) return message[has]
  }
}

const redis = await startRedis()

/** CPU of the server per event that reached a client, from being told to having arrived. */
async function measure(kind, what) {
  const { users, count, inFlight, per } = SCENES[what]
  await redis.client.flushall()
  const server = start('./server.mjs', kind, redis.url)
  const port = await answer(server, 'port')
  const clients = start('./clients.mjs', port, users)
  await answer(clients, 'open')
  let events = 0
  clients.on('message', (message) => {
    events = message.events ?? events
  })
  const cpu = async () => {
    server.send({ what: 'cpu' })
    const { user, system } = await answer(server, 'cpu')
    return user + system
  }
  const tell = async (howMany) => {
    const expected = events + howMany * per
    server.send({ what, count: howMany, users, inFlight })
    await answer(server, 'told')
    const late = performance.now() + 30_000
    while (events < expected) {
      if (performance.now() > late) throw new Error(`${kind}: ${expected - events} of ${howMany * per} did not arrive`)
      await new Promise((go) => setTimeout(go, 2))
    }
  }
  // Streams are open before their subscriptions are confirmed.
  await new Promise((go) => setTimeout(go, 500))
  await tell(Math.ceil(count / 4))
  const [before, started] = [await cpu(), performance.now()]
  await tell(count)
  const ms = performance.now() - started
  const used = (await cpu()) - before
  for (const child of [server, clients]) {
    child.kill('SIGKILL')
    children.delete(child)
    await once(child, 'exit')
  }
  return { cpu: used / (count * per), rate: (count * per * 1000) / ms }
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]

for (const what of Object.keys(SCENES)) {
  const points = Object.fromEntries(KINDS.map((kind) => [kind, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const kind of round % 2 ? [...KINDS].reverse() : KINDS) points[kind].push(await measure(kind, what))
  }
  const [baseline] = Object.values(points)
  const { users } = SCENES[what]
  const title = what === 'topic' ? `one topic, ${users} streams` : `${users} users with a stream each`
  console.log(
    `\n${title}: CPU µs of the server per event, events/s (median of ${ROUNDS} rounds), ratio of CPU to plain`,
  )
  for (const [kind, list] of Object.entries(points)) {
    const ratio = median(list.map((point, round) => point.cpu / baseline[round].cpu))
    const cpu = median(list.map((point) => point.cpu))
      .toFixed(1)
      .padStart(6)
    const rate = Math.round(median(list.map((point) => point.rate)))
    console.log(`${cpu} µs  ${String(rate).padStart(7)}  ${ratio.toFixed(2)}  ${kind}`)
  }
}
process.exit(0)
