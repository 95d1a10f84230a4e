import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { idOf } from './app.js'

const ROUNDS = process.env.HOLDFAST_TEST_FULL ? 300 : 60
const WRITES = 15

describe('two processes that share sessions', () => {
  let server: RedisServer
  const processes: ChildProcess[] = []
  const ports: number[] = []

  beforeAll(async () => {
    server = await startRedis()
    for (let i = 0; i < 2; i++) {
      const child = spawn(process.execPath, ['--import', 'tsx', join(__dirname, 'race-server.ts'), server.url], {
        stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      })
      processes.push(child)
      const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer]
      ports.push(Number(line.toString()))
    }
  }, 60_000)

  afterAll(async () => {
    for (const child of processes) child.kill()
    await server.stop()
  })

  // biome-ignore lint/suspicious/noExplicitAny: whatever the server answers
  type Body = any
  let turn = 0
  async function send(method: string, path: string, cookie = '') {
    const port = ports[turn++ % 2]
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { cookie } })
    const set = response.headers.getSetCookie()[0]?.split(';')[0]
    // A session that ends in the midst of a renewal is an error page.
    const body = response.ok ? ((await response.json()) as Body) : null
    return { status: response.status, body, cookie: set?.startsWith('sid=s') ? set : undefined }
  }
  const login = async (user: string) => (await send('POST', `/login/${user}`)).cookie as string
  const recordsOf = async (cookie: string) =>
    (await server.client().keys(`*{${idOf(cookie).slice(0, 16)}}*`)).filter((key) => !/:(index|generation)$/.test(key))

  it('loses no change of different keys, with the id renewed in the midst of them', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      let cookie = await login(`ann-${round}`)
      const rotation = async () => {
        await sleep(Math.random() * 10)
        cookie = (await send('POST', '/rotate', cookie)).cookie ?? cookie
      }
      const writes = Array.from({ length: WRITES }, async (_, i) => {
        await sleep(Math.random() * 15)
        return send('POST', `/set/k${i}`, cookie)
      })
      await Promise.all([rotation(), ...writes])
      const { body } = await send('GET', '/', cookie)
      expect(Object.keys(body.data).filter((key) => key.startsWith('k'))).toHaveLength(WRITES)
    }
  }, 120_000)

  it.each(['logout', 'revoke-all'])(
    'brings no session back that a %s ended in the midst of writes and renewals',
    async (how) => {
      for (let round = 0; round < ROUNDS; round++) {
        const user = `${how}-${round}`
        const cookies = [await login(user)]
        const latest = () => cookies.at(-1) as string
        const late: string[] = []
        let ended = false
        const end = async () => {
          await sleep(Math.random() * 8)
          const { status } = await send('POST', how === 'logout' ? '/logout' : `/revoke-all/${user}`, latest())
          expect(status).toBe(200)
          ended = true
        }
        const writes = Array.from({ length: WRITES }, async (_, i) => {
          await sleep(Math.random() * 12)
          const after = ended
          const answer = await send('POST', i % 7 === 3 && how !== 'logout' ? '/rotate' : `/set/k${i}`, latest())
          if (answer.cookie !== undefined && answer.body === true) cookies.push(answer.cookie)
          if (after && answer.body === user) late.push(`write ${i} after the end`)
        })
        await Promise.all([end(), ...writes])
        expect(late).toEqual([])
        for (const cookie of cookies) {
          expect((await send('GET', '/', cookie)).body.user).toBeNull()
          if (how === 'logout') expect(await recordsOf(cookie)).toEqual([])
        }
      }
    },
    120_000,
  )
})
