import type { Signal } from '../../src/security/detectors/detector.js'

/** A signal with what it really is: `attack` names the campaign it belongs to, `expected` who should notice that. */
export interface Labelled {
  readonly signal: Signal
  readonly attack?: string
  readonly expected?: readonly string[]
  /** An honest log-in or request, by whom; it must never be refused. */
  readonly honest?: string
}

const MINUTE = 60_000
const HOUR: number = 60 * MINUTE
export const DAY: number = 24 * HOUR
/** A Monday, midnight UTC. */
export const START: number = Date.UTC(2026, 0, 5)

type Random = () => number

/** mulberry32: small, seeded, good enough for traffic. */
function seeded(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Three weeks of an office behind one address, people on phones, forgetful people, crawlers; attacks in the last week. */
export function traffic(seed: number): Labelled[] {
  const all: Labelled[] = []
  const random = seeded(seed)
  const between = (from: number, to: number): number => from + random() * (to - from)
  const int = (from: number, to: number): number => Math.floor(between(from, to + 1))
  let ids = 0
  const add = (at: number, type: string, fields: Partial<Signal>, label: Omit<Labelled, 'signal'>): void => {
    all.push({ signal: { at: Math.floor(at), id: `s${ids++}`, type: type as Signal['type'], ...fields }, ...label })
  }
  const agents = ['Chrome/Windows', 'Firefox/Windows', 'Safari/macOS', 'Chrome/Android', 'Safari/iOS', 'Edge/Windows']
  const agentOf = (n: number): string => agents[n % agents.length] as string
  let guesses = 0
  const guess = (): string => `guess-${guesses++}`

  /** One honest person logs in, after some mistakes, some of them the same one again. */
  function logIn(
    at: number,
    name: string,
    ip: string,
    agent: string,
    device: string | undefined,
    mistakes: number,
  ): void {
    const honest = { honest: name }
    const wrong = guess()
    let time = at
    for (let n = 0; n < mistakes; n++) {
      const credential = random() < 0.4 ? wrong : guess()
      add(time, 'authn_login_fail', { account: name, ip, agent, device, credential }, honest)
      time += between(5000, 25_000)
    }
    add(time, 'authn_login_success', { account: name, userId: name, ip, agent, device }, honest)
  }
  const mistakes = (): number => (random() < 0.12 ? int(1, 2) : 0)

  function office(): void {
    for (let n = 0; n < 150; n++) {
      const name = `office-${n}`
      const keepsCookies = random() < 0.7
      for (let day = 0; day < 21; day++) {
        if (day % 7 > 4) continue
        const at = START + day * DAY + between(7.5, 9.5) * HOUR
        logIn(at, name, '198.51.100.10', agentOf(n), keepsCookies && day > 0 ? `d-${name}` : undefined, mistakes())
      }
    }
  }

  function mobile(): void {
    for (let n = 0; n < 80; n++) {
      const name = `mobile-${n}`
      const agent = n % 2 === 0 ? 'Chrome/Android' : 'Safari/iOS'
      for (let day = 0; day < 21; day++) {
        const network = (): string => `100.64.${int(0, 5)}.${int(1, 4)}`
        const at = START + day * DAY + between(7, 21) * HOUR
        logIn(at, name, network(), agent, day > 0 ? `d-${name}` : undefined, mistakes())
        const session = `${name}-${day}`
        for (let hop = 0; hop < 4; hop++) {
          const seen = { session, agent, ip: network(), userId: name, status: 200, path: '/feed' }
          add(at + hop * between(1, 8) * MINUTE, 'holdfast.request', seen, { honest: name })
        }
      }
    }
  }

  function forgetful(): void {
    for (let n = 0; n < 40; n++) {
      const name = `forgetful-${n}`
      const ip = `203.0.113.${n + 1}`
      for (let day = 0; day < 21; day += 3) {
        const at = START + day * DAY + between(8, 20) * HOUR
        logIn(at, name, ip, agentOf(n), undefined, day === 9 ? int(2, 4) : mistakes())
      }
    }
  }

  function browsing(): void {
    for (let n = 0; n < 60; n++) {
      const ip = `192.0.2.${n + 1}`
      for (let day = 0; day < 21; day += 2) {
        const at = START + day * DAY + between(6, 23) * HOUR
        const paths = ['/favicon.ico', '/old-page', '/apple-touch-icon.png', '/app.js.map', '/sitemap', '/feed.xml']
        for (const path of paths.slice(0, int(1, 6))) {
          add(at + between(0, 5000), 'holdfast.request', { ip, path, status: 404 }, { honest: `visitor-${n}` })
        }
      }
    }
    for (let n = 0; n < 30; n++) {
      const userId = `office-${n}`
      const at = START + int(0, 20) * DAY + 11 * HOUR
      const fields = { userId, ip: '198.51.100.10', reason: 'forbidden', status: 403 }
      for (let tries = int(1, 2); tries > 0; tries--) add(at + tries * 9000, 'authz_fail', fields, { honest: userId })
    }
    // An app of our own that asks for a dozen things that are gone, logged in.
    for (let n = 0; n < 10; n++) {
      const at = START + n * DAY + 10 * HOUR
      for (let file = 0; file < 20; file++) {
        const fields = { ip: '198.51.100.10', userId: `office-${n}`, path: `/sync/${file}`, status: 404 }
        add(at + file * 200, 'holdfast.request', fields, { honest: `office-${n}` })
      }
    }
  }

  const attackAt = (n: number): number => START + 14 * DAY + n * 95 * MINUTE + between(0, 10) * MINUTE
  let attacks = 0
  const campaign = (kind: string, expected: readonly string[]) => ({ attack: `${kind}-${attacks++}`, expected })
  let addresses = 0
  const stranger = (): string => `45.${(addresses >> 8) & 255}.${addresses++ & 255}.${int(1, 250)}`

  function attackLogins(): void {
    for (let n = 0; n < 6; n++) {
      const label = campaign('brute force', ['bruteForcePair'])
      const [at, ip, account] = [attackAt(attacks), stranger(), `mobile-${n}`]
      for (let i = 0; i < 60; i++) {
        add(at + i * 2000, 'authn_login_fail', { account, ip, agent: 'curl/other', credential: guess() }, label)
      }
    }
    const insider = campaign('brute force from the office', ['bruteForcePair'])
    const victim = all.find(({ honest, signal }) => honest?.startsWith('office') && signal.device !== undefined)?.honest
    for (let i = 0; i < 40; i++) {
      const fields = { account: victim, ip: '198.51.100.10', agent: 'Chrome/Windows', credential: guess() }
      add(START + 15 * DAY + 8 * HOUR + i * 5000, 'authn_login_fail', fields, insider)
    }
    for (let n = 0; n < 4; n++) {
      const label = campaign('fast guessing of many accounts', ['bruteForceAddress'])
      const [at, ip] = [attackAt(attacks), stranger()]
      for (let i = 0; i < 120; i++) {
        const fields = { account: `office-${i % 20}`, ip, agent: 'python/other', credential: guess() }
        add(at + i * 400, 'authn_login_fail', fields, label)
      }
    }
    for (let n = 0; n < 3; n++) {
      const label = campaign('guessing all day', ['bruteForceAddressSlow'])
      const [at, ip] = [START + (15 + n) * DAY, stranger()]
      for (let i = 0; i < 180; i++) {
        const fields = { account: `office-${i % 150}`, ip, agent: 'Chrome/Windows', credential: guess() }
        add(at + i * 7 * MINUTE, 'authn_login_fail', fields, label)
      }
    }
    for (let n = 0; n < 4; n++) {
      const label = campaign('distributed guessing of one account', ['bruteForceAccount'])
      const at = attackAt(attacks)
      for (let i = 0; i < 90; i++) {
        const fields = { account: `forgetful-${n}`, ip: stranger(), agent: 'Chrome/Windows', credential: guess() }
        add(at + i * 4 * MINUTE, 'authn_login_fail', fields, label)
      }
    }
    for (let n = 0; n < 6; n++) {
      const label = campaign('spraying', ['passwordSpraying'])
      const [at, ip] = [attackAt(attacks), stranger()]
      for (let i = 0; i < 40; i++) {
        const fields = { account: `office-${int(0, 149)}`, ip, agent: 'Chrome/Windows', credential: 'Summer2026!' }
        add(at + i * between(8000, 16_000), 'authn_login_fail', fields, label)
      }
    }
    for (let n = 0; n < 5; n++) {
      const label = campaign('slow spraying', ['slowSpraying'])
      const [at, ip] = [attackAt(attacks), stranger()]
      for (let i = 0; i < 12; i++) {
        const fields = {
          account: `office-${(i * 11 + n) % 150}`,
          ip,
          agent: 'Chrome/Windows',
          credential: 'Winter2026!',
        }
        add(at + i * between(13, 16) * MINUTE, 'authn_login_fail', fields, label)
      }
    }
    for (let n = 0; n < 3; n++) {
      const label = campaign('stuffing from 500 addresses', ['credentialStuffing'])
      const at = START + (16 + n) * DAY + 3 * HOUR
      for (let i = 0; i < 500; i++) {
        const ip = stranger()
        for (let tries = 0; tries < 3; tries++) {
          const unknownAccount = random() < 0.75
          const account = unknownAccount ? `nobody-${n}-${i}-${tries}` : `office-${int(0, 149)}`
          const fields = { account, unknownAccount, ip, agent: agentOf(i), credential: guess() }
          add(at + between(0, 10) * MINUTE, 'authn_login_fail', fields, label)
        }
      }
    }
    for (let n = 0; n < 5; n++) {
      const label = campaign('a guess that was right', ['successAfterFailures'])
      const [at, ip, account] = [attackAt(attacks), stranger(), `forgetful-${20 + n}`]
      for (let i = 0; i < 8; i++) {
        add(at + i * 40_000, 'authn_login_fail', { account, ip, agent: 'Firefox/Linux', credential: guess() }, label)
      }
      const fields = { account, userId: account, ip, agent: 'Firefox/Linux' }
      add(at + 6 * MINUTE, 'authn_login_success', fields, label)
    }
  }

  function attackRequests(): void {
    for (let n = 0; n < 6; n++) {
      const label = campaign('scanner', ['pathScanning', 'sensitivePaths'])
      const [at, ip] = [attackAt(attacks), stranger()]
      const sought = ['/.env', '/.git/config', '/wp-login.php', '/phpmyadmin/', '/backup.sql', '/../../etc/passwd']
      for (let i = 0; i < 60; i++) {
        const path = i % 6 === 5 ? (sought[int(0, 5)] as string) : `/admin-${i}/`
        add(at + i * 300, 'holdfast.request', { ip, path, status: 404 }, label)
      }
    }
    for (let n = 0; n < 3; n++) {
      const label = campaign('honeypot', ['honeypot'])
      add(
        attackAt(attacks),
        'holdfast.request',
        { ip: stranger(), path: '/old-admin', status: 0, reason: 'honeypot' },
        label,
      )
    }
    for (let n = 0; n < 6; n++) {
      const label = campaign('hijacked session', ['sessionHijack'])
      const session = `mobile-${n}-${14 + n}`
      const own = all.find(({ signal }) => signal.session === session)?.signal
      if (own === undefined) throw new Error('no such session')
      const fields = { session, userId: own.userId, ip: stranger(), agent: 'Firefox/Linux', status: 200, path: '/me' }
      for (let i = 0; i < 5; i++) add(own.at + 20_000 + i * 3000, 'holdfast.request', fields, label)
    }
    for (let n = 0; n < 4; n++) {
      const label = campaign('session guessing', ['sessionGuessing'])
      const [at, ip] = [attackAt(attacks), stranger()]
      for (let i = 0; i < 30; i++) add(at + i * 4000, 'holdfast.session_rejected', { ip }, label)
    }
    for (let n = 0; n < 4; n++) {
      const label = campaign('token reuse', ['tokenReuse'])
      add(
        attackAt(attacks),
        'authn_token_reuse',
        { userId: `office-${n}`, session: `reused-${n}`, ip: stranger() },
        label,
      )
    }
    for (let n = 0; n < 4; n++) {
      const label = campaign('privilege probing', ['privilegeProbing'])
      const at = attackAt(attacks)
      const fields = { userId: `mallory-${n}`, ip: stranger(), reason: 'forbidden', status: 403 }
      for (let i = 0; i < 6; i++) add(at + i * 20_000, 'authz_fail', fields, label)
    }
    for (let n = 0; n < 3; n++) {
      const label = campaign('excess use', ['excessUse'])
      const [at, ip] = [attackAt(attacks), stranger()]
      for (let i = 0; i < 8; i++) add(at + i * 30_000, 'excess_rate_limit_exceeded', { ip }, label)
    }
    for (let n = 0; n < 5; n++) {
      const label = campaign('stolen account, elsewhere at night', ['anomaly', 'newDevice', 'impossibleTravel'])
      const account = `office-${120 + n}`
      // An hour after its owner logged in here; in the night of the office for the anomaly.
      const own = all.filter(({ signal, honest }) => honest === account && signal.type === 'authn_login_success').at(-1)
      const at = (own?.signal.at ?? 0) + HOUR
      add(at, 'authn_login_success', { account, userId: account, ip: `185.1.${n}.9`, agent: 'Firefox/Linux' }, label)
    }
  }

  office()
  mobile()
  forgetful()
  browsing()
  attackLogins()
  attackRequests()
  return all.sort((a, b) => a.signal.at - b.signal.at)
}

/** For `impossibleTravel`: thieves sit far away, everybody else is at home. */
export function whereIs(ip: string): { latitude: number; longitude: number } {
  return ip.startsWith('185.') ? { latitude: -33.9, longitude: 151.2 } : { latitude: 52.5, longitude: 13.4 }
}
