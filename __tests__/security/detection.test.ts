import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createRedisManager, type RedisManager } from '../../src/redis/index.js'
import { createLocalCounters } from '../../src/security/counters.js'
import { chosenDetectors, DETECTOR_DEFAULTS, type DetectorName } from '../../src/security/detectors/defaults.js'
import { subscriber } from '../../src/security/detectors/network.js'
import type { Guard } from '../../src/security/guard.js'
import { judgeLogin } from '../../src/security/login.js'
import { createRestrictions, type Restrictions } from '../../src/security/restrictions.js'
import { createWatch, type Found, subjectKey } from '../../src/security/watch.js'
import { DAY, type Labelled, START, traffic, whereIs } from '../support/traffic.js'

interface Row {
  readonly detector: string
  readonly campaigns: number
  readonly recall: number
  readonly findings: number
  readonly precision: number
  readonly medianSeconds: number
}

interface Result {
  readonly rows: readonly Row[]
  /** Honest log-ins and requests that would have been refused. */
  readonly refused: readonly string[]
  readonly signals: number
}

let redis: RedisManager
beforeAll(() => {
  redis = createRedisManager({ env: {}, logger: false })
})
afterAll(() => redis.close())

/** Replays traffic through the detectors with everything enforced. */
async function replay(all: readonly Labelled[]): Promise<Result> {
  let now = START
  const restrictions = createRestrictions({ redis, duration: 15 * 60_000, maxDuration: DAY, now: () => now })
  const found: (Found & { readonly label: Labelled })[] = []
  let current: Labelled | undefined
  const detectors = chosenDetectors({ settings: {}, own: [], geo: whereIs })
  const watch = createWatch({
    redis,
    detectors,
    counters: createLocalCounters(),
    allowed: () => false,
    onFound: (each) => {
      if (current === undefined) return
      found.push({ ...each, label: current })
      const { action } = each.detector
      if (action !== 'observe' && action !== 'revoke') {
        restrictions.impose(subjectKey(each.finding.subject), action, each.detector.name)
      }
    },
  })
  const refused: string[] = []
  for (const each of all) {
    now = each.signal.at
    if (each.honest !== undefined && isRefused(restrictions, each, now))
      refused.push(`${each.honest} at ${new Date(now).toISOString()}`)
    current = each
    watch.push(each.signal)
    await watch.idle()
  }
  watch.close()
  restrictions.close()
  return {
    rows: tableOf(
      all,
      found,
      detectors.map(({ name }) => name),
    ),
    refused,
    signals: all.length,
  }
}

function isRefused(restrictions: Restrictions, { signal }: Labelled, now: number): boolean {
  const find: Guard['find'] = (subject, action) => restrictions.find(subjectKey(subject), action)
  const { account, ip, device } = signal
  if (find({ kind: 'network', network: subscriber(ip) ?? '' }, 'block') !== undefined) return true
  if (account === undefined || !signal.type.startsWith('authn_login')) return false
  return judgeLogin({ find }, { account, ip, device }, now).verdict === 'refuse'
}

function tableOf(
  all: readonly Labelled[],
  found: readonly (Found & { readonly label: Labelled })[],
  names: readonly string[],
): Row[] {
  const begun = new Map<string, number>()
  const ended = new Map<string, number>()
  const expected = new Map<string, Set<string>>()
  for (const { attack, expected: by = [], signal } of all) {
    if (attack === undefined) continue
    if (!begun.has(attack)) begun.set(attack, signal.at)
    ended.set(attack, signal.at)
    for (const name of by) expected.set(name, (expected.get(name) ?? new Set()).add(attack))
  }
  return names
    .filter((name) => expected.has(name))
    .map((detector) => {
      const mine = found.filter((each) => each.detector.name === detector)
      const campaigns = expected.get(detector) ?? new Set<string>()
      // A finding about the whole site may be set off by anybody's failure while it is under attack.
      const attackOf = ({ label, finding, signal }: (typeof mine)[number]): string | undefined =>
        finding.subject.kind === 'site'
          ? [...campaigns].find(
              (it) => (begun.get(it) ?? 0) <= signal.at && signal.at <= (ended.get(it) ?? 0) + 300_000,
            )
          : label.attack
      const delays = [...campaigns].flatMap((attack) => {
        const first = mine.find((each) => attackOf(each) === attack)
        return first === undefined ? [] : [(first.signal.at - (begun.get(attack) ?? 0)) / 1000]
      })
      return {
        detector,
        campaigns: campaigns.size,
        recall: delays.length / campaigns.size,
        findings: mine.length,
        precision: mine.filter((each) => attackOf(each) !== undefined).length / Math.max(mine.length, 1),
        medianSeconds: delays.sort((a, b) => a - b)[Math.floor((delays.length - 1) / 2)] ?? Number.NaN,
      }
    })
}

describe('detectors over three weeks of labelled traffic', () => {
  it.each([1, 2, 3])(
    'find the attacks and refuse nobody honest (seed %d)',
    async (seed) => {
      const { rows, refused, signals } = await replay(traffic(seed))
      if (process.env.HOLDFAST_DETECTION_TABLE !== undefined) {
        process.stdout.write(`seed ${seed}, ${signals} signals\n${markdown(rows)}\n`)
      }
      expect(refused).toEqual([])
      expect(rows).toHaveLength(Object.keys(DETECTOR_DEFAULTS).length)
      for (const row of rows) {
        expect(row).toEqual(expect.objectContaining({ detector: row.detector }))
        expect({ detector: row.detector, enough: row.recall >= 0.95 }).toEqual({ detector: row.detector, enough: true })
      }
      const precise = rows.filter(({ detector }) => !INFORMATIVE.has(detector as DetectorName))
      for (const { detector, precision } of precise) {
        expect({ detector, precise: precision >= 0.95 }).toEqual({ detector, precise: true })
      }
    },
    60_000,
  )
})

/** They tell of something unusual, not of something wrong. */
const INFORMATIVE: ReadonlySet<DetectorName> = new Set(['newDevice', 'anomaly'])

function markdown(rows: readonly Row[]): string {
  const line = ({ detector, campaigns, recall, findings, precision, medianSeconds }: Row): string =>
    `| ${detector} | ${campaigns} | ${recall.toFixed(2)} | ${findings} | ${precision.toFixed(2)} | ${Math.round(medianSeconds)} s |`
  return [
    '| detector | campaigns | recall | findings | precision | time to detect |',
    '|---|---|---|---|---|---|',
    ...rows.map(line),
  ].join('\n')
}
