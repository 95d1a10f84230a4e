const SET_COOKIE =
  'A response with Set-Cookie is never stored: replaying it would hand one visitor’s session to another.'
const PARTIAL = 'Partial responses are not stored; parts are cut from stored complete ones.'
const CLOSED =
  'The test takes any answer without the origin’s counter for a stored one. The origin has closed the connection, so ' +
  'what it sees is the gateway’s 502; that stale responses are not served is tested in stale.test.ts.'
const CAPABILITY = 'Surrogate-Capability is not announced to handlers, so nothing can be aimed at it by name.'
const GUESSED = 'Lifetimes are not guessed unless `heuristics` is set.'

/** Required and optimal tests that fail, each with the reason why that is accepted. */
export const KNOWN_FAILURES: Readonly<Record<string, string>> = {
  'age-parse-prefix': 'Its name and RFC 9111 §5.1 say that `Age: 0, 7200` is stale; this copy expects it to be reused.',
  'stale-close-must-revalidate': CLOSED,
  'stale-close-proxy-revalidate': CLOSED,
  'stale-close-no-cache': CLOSED,
  'stale-close-s-maxage=2': CLOSED,
  'headers-store-Set-Cookie': SET_COOKIE,
  '304-etag-update-response-Set-Cookie': SET_COOKIE,
  'other-set-cookie': SET_COOKIE,
  'surrogate-fresh-cc-nostore': CAPABILITY,
  'surrogate-max-age-me-target': CAPABILITY,
  'other-cookie': 'By default a request with cookies is given only what says `public`; `cookies: "ignore"` passes.',
  'method-POST': 'Answers to POST are not stored.',
  'vary-normalise-lang-order':
    'Negotiators, that of Express among them, take the order of equal languages for preference.',
  'vary-normalise-lang-select': 'Choosing a stored language for another request is the handler’s business.',
  'conditional-lm-fresh-no-lm': 'Date does not stand in for Last-Modified: a resource may change twice in one second.',
  'partial-store-partial-reuse-partial': PARTIAL,
  'partial-store-partial-reuse-partial-byterange': PARTIAL,
  'partial-store-partial-reuse-partial-absent': PARTIAL,
  'partial-store-partial-reuse-partial-suffix': PARTIAL,
  'partial-store-partial-complete': PARTIAL,
}

/** Those that fail besides with lifetimes only as responses state them. */
export const WITHOUT_HEURISTICS: Readonly<Record<string, string>> = Object.fromEntries(
  [200, 203, 204, 404, 405, 410, 414, 501, 599].map((status) => [`heuristic-${status}-cached`, GUESSED]),
)
