import { type Duration, toMs } from '../shared/duration.js'
import { ConfigurationError } from '../shared/errors.js'
import { aDuration, anObject, checkOptions, type Rule, type Rules } from '../shared/options.js'
import { type BlockRule, NO_BLOCK } from './engine.js'

/** How blocks grow for who keeps coming back. */
export interface BlockEscalation {
  /** Each block is so many times the one before. @default 2 */
  readonly factor?: number | undefined
  /** Longest block. @default '24h' */
  readonly max?: Duration | undefined
  /** A block that ended so long ago is forgotten. @default '24h' */
  readonly forgetAfter?: Duration | undefined
}

const LONGEST = 366 * 86_400_000

export const anEscalation: Rule = anObject
export const aBlockDuration: Rule = aDuration(1, LONGEST)

const rules: Rules<BlockEscalation> = {
  factor: {
    expected: 'a number from 1 to 100',
    accepts: (value) => typeof value === 'number' && value >= 1 && value <= 100,
  },
  max: aBlockDuration,
  forgetAfter: aDuration(0, LONGEST),
}

/** Checks and works out what a refusal starts. */
export function blockRule(
  owner: string,
  blockDuration: Duration | undefined,
  escalation: BlockEscalation | undefined,
): BlockRule {
  if (escalation !== undefined) checkOptions(`${owner}: escalation`, escalation, rules)
  if (blockDuration === undefined) {
    if (escalation !== undefined) throw new ConfigurationError(owner, 'escalation', 'needs "blockDuration"')
    return NO_BLOCK
  }
  const lengthMs = toMs(blockDuration)
  if (escalation === undefined) return { lengthMs, growth: 1, longestMs: lengthMs, rememberMs: 0 }
  const { factor = 2, max = '24h', forgetAfter = '24h' } = escalation
  return { lengthMs, growth: factor, longestMs: Math.max(toMs(max), lengthMs), rememberMs: toMs(forgetAfter) }
}
