export const REDACTED = '[redacted]'

/** Parts of a name, whatever its spelling, behind which a secret must be expected. */
const SECRET_PARTS =
  /password|passwd|passphrase|passcode|secret|token|authori[sz]ation|cookie|apikey|accesskey|encryptionkey|signingkey|masterkey|private|credential|sessionid|connectsid|creditcard|cardnumber|securitycode|recoverycode|backupcode|verificationcode|mnemonic/

/** Too short to look for inside other words ('pin' is in 'shipping'). */
const SECRET_WORDS: ReadonlySet<string> = new Set(
  'pass pwd otp totp pin cvv cvv2 cvc cvc2 card pan iban ssn sid jwt bearer csrf xsrf auth'.split(' '),
)

const MAX_NAMES = 2000

/** Tells by a field's name, in any case, spelling or script variant, that its value is a secret. */
export function createNameTest(extra: readonly string[] = []): (name: string) => boolean {
  const own = new Set(extra.map(squash))
  const known = new Map<string, boolean>()
  return (name) => {
    const cached = known.get(name)
    if (cached !== undefined) return cached
    const text = name.slice(0, 200)
    const squashed = squash(text)
    const isSecret =
      SECRET_PARTS.test(squashed) || own.has(squashed) || wordsOf(text).some((it) => SECRET_WORDS.has(it))
    // Names may come from a client's JSON: the memory of them stays bounded.
    if (known.size >= MAX_NAMES) known.clear()
    if (name.length <= 200) known.set(name, isSecret)
    return isSecret
  }
}

function squash(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, '')
}

function wordsOf(name: string): string[] {
  return name
    .normalize('NFKC')
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
}

type Shape = readonly [pattern: RegExp, replacement: string | ((match: string) => string)]

const ASSIGNED =
  /((?:pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|session[_-]?id|(?:\b|_)(?:t?otp|pin|cvv2?|cvc2?|ssn|sid|iban|card(?:[_-]?(?:number|no))?|jwt|csrf)|[?&](?:code|key|sig|signature|auth))[\w-]{0,20}\\?["']?\s{0,3}[=:]\s{0,3})(\\?"[^"]*"?|\\?'[^']*'?|[^\s&;,"'<>)}\]]+)/gi

/** Secrets known by how they look, wherever they stand. Order matters: whole header lines before their parts. */
const SHAPES: readonly Shape[] = [
  [/-----BEGIN [A-Z0-9 ]{0,40}-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}-----|$)/g, REDACTED],
  [/\b((?:proxy-)?authorization|(?:set-)?cookie2?)(\\?["']?\s{0,3}[:=]\s{0,3})[^\r\n]+/gi, `$1$2${REDACTED}`],
  [/\b(bearer|basic|negotiate|digest)(?:\s|%20|\+){1,4}[\w.~+/=%-]{6,}/gi, `$1 ${REDACTED}`],
  [/\beyJ[\w-]{8,}(?:\.[\w-]*){0,4}/g, REDACTED],
  [/\bs(?::|%3A)[\w-]{8,}\.[\w+/=%-]{8,}/gi, REDACTED],
  [/([a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/?#]{1,512}@/gi, `$1${REDACTED}@`],
  [
    /\b(?:gh[pousr]_|github_pat_|glpat-|npm_|xox[abeoprs]-|[srp]k_(?:live|test)_|whsec_|sk-|SG\.)[\w.-]{10,}/g,
    REDACTED,
  ],
  [/\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[\w-]{30,}/g, REDACTED],
  [ASSIGNED, `$1${REDACTED}`],
  [/\b\d{3}-\d{2}-\d{4}\b/g, REDACTED],
  [/\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b/g, (run) => (isIban(run) ? REDACTED : run)],
]

const CARD_RUN = /\d[\d -]{11,60}\d/g

/** One pass over a text decides whether the shapes are worth trying: most texts hold nothing of the kind. */
const SUSPICIOUS =
  /-----BEGIN|eyJ|@|\bs(?::|%3A)|(?:bearer|basic|negotiate|digest)|gh[pousr]_|github_pat_|glpat-|npm_|xox|k_(?:live|test)_|whsec_|sk-|SG\.|AKIA|ASIA|AIza|[=:]\S?\s{0,3}\S|\d{3}-\d{2}-\d{4}|\b[A-Z]{2}\d{2} ?[A-Z0-9]/i

/**
 * The text with everything that looks like a secret replaced. `cards: false` for identifiers, where a long number is a
 * number.
 */
export function maskSecrets(text: string, { cards = true }: { readonly cards?: boolean } = {}): string {
  if (SUSPICIOUS.test(text)) {
    for (const [pattern, replacement] of SHAPES) text = text.replace(pattern, replacement as string)
  }
  return cards && text.length > 12 ? text.replace(CARD_RUN, maskCards) : text
}

/** A number as text or number that a payment card could have: its prefix, its length, its check digit (ISO 7812). */
export function isCardNumber(digits: string): boolean {
  return CARD_PREFIX.test(digits) && luhn(digits)
}

const CARD_PREFIX =
  /^(?:4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|2720\d{12}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11,16}|35\d{14,17}|6\d{15,18})$/

function maskCards(run: string): string {
  const groups = run.split(/[ -]+/)
  for (let from = 0; from < groups.length; from++) {
    let digits = ''
    for (let to = from; to < groups.length && digits.length < 19; to++) {
      digits += groups[to]
      if (isCardNumber(digits)) return REDACTED
    }
  }
  return run
}

function luhn(digits: string): boolean {
  let sum = 0
  for (let index = digits.length - 1, double = false; index >= 0; index--, double = !double) {
    const digit = digits.charCodeAt(index) - 48
    sum += double ? (digit > 4 ? digit * 2 - 9 : digit * 2) : digit
  }
  return sum % 10 === 0
}

/** ISO 13616: the rearranged number leaves 1 modulo 97. */
function isIban(text: string): boolean {
  const compact = text.replaceAll(' ', '')
  if (compact.length < 15 || compact.length > 34) return false
  let rest = 0
  for (const character of compact.slice(4) + compact.slice(0, 4)) {
    const value = Number.parseInt(character, 36)
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97
  }
  return rest === 1
}
