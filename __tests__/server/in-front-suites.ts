import { afterAll, describe, expect } from '@jest/globals'
import { inFront } from '../response-cache/in-front.js'

const FULL_SUITES = ['middleware', 'reuse', 'stale', 'coalescing', 'variants', 'head', 'pitfalls', 'query', 'unkeyed']

/** The tests of the response cache itself, in the front lane: these always, the others in the full run. */
export function runInFront(form: 'front' | 'front-redis', suites: readonly string[]): void {
  process.env.HOLDFAST_CACHE_FORM = form
  const full = process.env.HOLDFAST_TEST_FULL === '1' ? ['adversary', 'http', ...FULL_SUITES] : []
  describe.each([...new Set([...suites, ...full])])('the response cache in the front lane: %s', (suite) => {
    require(`../response-cache/${suite}.test`)
  })

  afterAll(() => {
    // Else this file would have tested Express.
    expect(inFront.count).toBeGreaterThan(20)
  })
}
