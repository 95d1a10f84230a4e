/**
 * Secrets for tests, as [where it stands, the text an event is given, the part that must appear in no sink]. Assembled
 * from pieces, so that no scanner of source code takes them for real.
 */
export interface Secret {
  readonly details: Record<string, unknown>
  readonly leak: string
}

let counter = 0
const unique = (): string => `Zq${(counter++).toString(36).padStart(4, '0')}Xw9Lk3Vb7Nm5Rt1Yp`
const b64 = (text: string): string => Buffer.from(text).toString('base64url')

const NAMES = `password passwd pwd Password PASSWORD user_password userPassword old-password new.password passphrase
  secret clientSecret client_secret token accessToken access_token refresh-token idToken authorization Authorization
  proxy-authorization cookie Cookie set-cookie Set-Cookie apiKey api_key API-KEY x-api-key otp totpCode pin cardPin cvv
  CVV2 cvc card cardNumber card_number creditCard iban ssn private privateKey private_key credential credentials
  sessionId session_id connect.sid sid jwt bearer csrf_token xsrfToken recovery_code backupCode mnemonic signingKey
  encryption_key master-key ｐａｓｓｗｏｒｄ pass sessionToken webhookSecret securityCode`.split(/\s+/)

const jwt = (): [string, string] => {
  const signature = unique()
  return [`eyJ${b64('{"alg":"HS256"}')}.eyJ${b64('{"sub":"1"}')}.${signature}`, signature]
}

const SHAPES: readonly (() => [text: string, leak: string])[] = [
  () => ((it) => [`Bearer ${it}`, it])(unique()),
  () => ((it) => [`sent bearer ${it} again`, it])(unique()),
  () => ((it) => [`Authorization: Basic ${it}`, it])(unique()),
  () => ((it) => [`Authorization: Digest username="a", response="${it}"`, it])(unique()),
  jwt,
  () => ((it) => [`jwt was ${it[0]} ok`, it[1]] as [string, string])(jwt()),
  () => ((it) => [`-----BEGIN ${'RSA PRIVATE'} KEY-----\n${it}\n-----END ${'RSA PRIVATE'} KEY-----`, it])(unique()),
  () => ((it) => [`-----BEGIN ${'PRIVATE'} KEY-----\n${it}`, it])(unique()),
  () => ((it) => [`s:${it}.${it}sig`, it])(unique()),
  () => ((it) => [`connect.sid=s%3A${it}.${it}sig; a=b`, it])(unique()),
  () => ((it) => [`redis://user:${it}@host:6379/0`, it])(unique()),
  () => ((it) => [`postgres://u:p@${it}@db/x`, it])(unique()),
  () => ((it) => [`https://x.test/cb?access_token=${it}&b=1`, it])(unique()),
  () => ((it) => [`/reset?token=${it}`, it])(unique()),
  () => ((it) => [`/cb?code=${it}`, it])(unique()),
  () => ((it) => [`{"password":"${it}","a":1}`, it])(unique()),
  () => ((it) => [`{\\"password\\":\\"${it}\\"}`, it])(unique()),
  () => ((it) => [`password=${it}`, it])(unique()),
  () => ((it) => [`password: '${it} with spaces'`, it])(unique()),
  () => ((it) => [`api_key = ${it}`, it])(unique()),
  () => ((it) => [`Cookie: a=1; sid=${it}`, it])(unique()),
  () => ((it) => [`Set-Cookie: x=${it}; HttpOnly`, it])(unique()),
  () => ((it) => [`ghp_${it}`, it])(unique()),
  () => ((it) => [`xoxb-${it}`, it])(unique()),
  () => ((it) => [`sk_live_${it}`, it])(unique()),
  () => ((it) => [`sk-${it}`, it])(unique()),
  () => ((it) => [`glpat-${it}`, it])(unique()),
  () => ((it) => [`npm_${it}`, it])(unique()),
  () => [`AKIA${'ABCDEFGH'}IJKLMNOP`, 'ABCDEFGHIJKLMNOP'],
  () => [`AIza${'a'.repeat(35)}`, 'a'.repeat(35)],
  () => ['4111 1111 1111 1111', '1111 1111'],
  () => ['4111-1111-1111-1111', '1111-1111'],
  () => ['card 4242424242424242 12/29', '4242424242424242'],
  () => ['5555 5555 5555 4444 12 29', '5555 5555'],
  () => ['3782 822463 10005', '822463'],
  () => ['078-05-1120', '05-1120'],
  () => ['GB82 WEST 1234 5698 7654 32', '1234 5698'],
  () => ['DE89370400440532013000', '370400440532013000'],
  () => ((it) => [`pass\u0000word=${it}`, it])(unique()),
  () => ((it) => [`p\u200bassword=${it}`, it])(unique()),
  () => ((it) => [`Bear\u202eer ${it}`, it])(unique()),
  () => ((it) => [`${'x'.repeat(990)} token=${it}`, it])(unique()),
  () => ((it) => [`line\r\nAuthorization: Bearer ${it}`, it])(unique()),
  () => ((it) => [`\u001b[31mpassword\u001b[0m=${it}`, it])(unique()),
]

/** Every named field in several depths, every shape in every place that takes text: over 200 of them. */
export function allSecrets(): Secret[] {
  const byName = NAMES.flatMap((name) => {
    const [flat, deep, listed] = [unique(), unique(), unique()]
    return [
      { details: { [name]: flat }, leak: flat },
      { details: { request: { body: { [name]: deep } } }, leak: deep },
      { details: { items: [{ [name]: { raw: listed } }] }, leak: listed },
    ]
  })
  const places: readonly ((text: string) => Record<string, unknown>)[] = [
    (text) => ({ note: text }),
    (text) => ({ nested: { list: [text] } }),
    (text) => ({ error: new Error(text) }),
    (text) => ({ reason: text }),
    (text) => ({ userAgent: text }),
    (text) => ({ path: text }),
    (text) => ({ target: text }),
    (text) => ({ [text]: 1 }),
  ]
  const byShape = SHAPES.flatMap((shape) =>
    places.map((place) => {
      const [text, leak] = shape()
      return { details: place(text), leak }
    }),
  )
  const identifiers = SHAPES.slice(0, 9).flatMap((shape) =>
    ['userId', 'requestId', 'traceId'].map((field) => {
      const [text, leak] = shape()
      return { details: { [field]: text }, leak }
    }),
  )
  const digested = ['account', 'sessionId', 'credential'].map((field) => {
    const leak = unique()
    return { details: { [field]: leak }, leak }
  })
  return [...byName, ...byShape, ...identifiers, ...digested]
}
