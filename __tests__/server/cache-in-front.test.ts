import { afterAll, describe, expect } from '@jest/globals'
import { inFront } from '../response-cache/in-front.js'

/** The tests of the response cache itself, in the front lane: the representative ones always, the others in the full run. */
const SUITES = ['adversary', 'http']
const FULL_SUITES = ['middleware', 'reuse', 'stale', 'coalescing', 'variants', 'head', 'pitfalls', 'query', 'unkeyed']

process.env.HOLDFAST_CACHE_FORM = 'front'

describe.each([...SUITES, ...(process.env.HOLDFAST_TEST_FULL === '1' ? FULL_SUITES : [])])(
  'the response cache in the front lane: %s',
  (suite) => {
    require(`../response-cache/${suite}.test`)
  },
)

afterAll(() => {
  // Else this file would have tested Express.
  expect(inFront.count).toBeGreaterThan(20)
})
