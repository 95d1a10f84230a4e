import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

/*
 * Mark Nottingham's cache tests: their origin, and their client, which asks it through the application. Told by
 * messages: the parent first hears the origin's port, then says which tests to run through which base URLs, and hears
 * the results.
 */
const require = createRequire(import.meta.url)
const ours = createRequire(require.resolve('http-cache-tests/package.json'))
const load = (path: string) => import(pathToFileURL(ours.resolve(`http-cache-tests/${path}`)).href)

interface Test {
  readonly id: string
  readonly kind?: 'required' | 'optimal' | 'check'
  readonly depends_on?: readonly string[]
  readonly browser_only?: boolean
}
type Handler = (segments: string[], req: unknown, res: unknown) => void

const suites: { id: string; tests: Test[] }[] = [
  ...(await load('tests/index.mjs')).default,
  (await load('tests/surrogate-control.mjs')).default,
]
const handlers: Record<string, Handler> = {
  config: (await load('server/handle-config.mjs')).default,
  test: (await load('server/handle-test.mjs')).default,
  state: (await load('server/handle-state.mjs')).default,
}
const { runTests, getResults } = await load('client/runner.mjs')
const fetch = ours('node-fetch') as (url: string, init: unknown) => Promise<unknown>

const origin = createServer((req, res) => {
  const [first = '', ...rest] = new URL(req.url ?? '/', 'http://localhost').pathname.slice(1).split('/')
  // The handlers of the tests answer some requests twice.
  res.on('error', () => {})
  const handle = handlers[first]
  if (handle === undefined) res.writeHead(404).end()
  else handle(rest, req, res)
})
// The origin of the tests writes its warnings to the console.
console.log = () => {}
origin.listen(0, '127.0.0.1', () => process.send?.(origin.address()))

process.on('message', async ({ bases, only }: { bases: string[]; only: string[] | undefined }) => {
  const chosen = suites.filter(({ id }) => only === undefined || only.includes(id))
  let turn = 0
  const inTurn = (url: string, init: object) =>
    fetch(url.replace(/^http:\/\/base/, bases[turn++ % bases.length] as string), { ...init, timeout: 10_000 })
  await runTests(chosen, inTurn, false, 'http://base', 120)
  const tests = chosen.flatMap(({ id: suite, tests }) =>
    tests
      .filter(({ browser_only }) => browser_only !== true)
      .map(({ id, kind = 'required', depends_on = [] }) => ({ suite, id, kind, dependsOn: depends_on })),
  )
  process.send?.({ tests, results: getResults() })
})
process.on('disconnect', () => process.exit())
