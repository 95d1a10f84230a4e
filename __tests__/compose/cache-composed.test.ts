import { describe } from '@jest/globals'

/** The tests of the response cache itself, composed with a limiter: the representative ones always, the others in the full run. */
const SUITES = ['adversary', 'http']
const FULL_SUITES = ['middleware', 'reuse', 'stale', 'coalescing', 'variants', 'head', 'pitfalls', 'query', 'unkeyed']

process.env.HOLDFAST_CACHE_FORM = 'composed'

describe.each([...SUITES, ...(process.env.HOLDFAST_TEST_FULL === '1' ? FULL_SUITES : [])])(
  'the response cache composed with a limiter: %s',
  (suite) => {
    require(`../response-cache/${suite}.test`)
  },
)
