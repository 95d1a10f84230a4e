/**
 * The replies of the decision script. In full: status, Redis' clock, rest of a block, whether foreign bytes were found,
 * then three numbers per policy. Short, for a request that is allowed: the clock, then two numbers per policy.
 */
export const STATUS = { refused: 0, allowed: 1, blocked: 2 } as const

const FOREIGN = 3

export function isShort(reply: readonly number[], policies: number): boolean {
  return reply.length === 1 + policies * 2
}

export function foundForeignBytes(reply: readonly number[], policies: number): boolean {
  return reply[FOREIGN] === 1 && !isShort(reply, policies)
}

export function inFull(reply: readonly number[], policies: number): readonly number[] {
  if (!isShort(reply, policies)) return reply
  const full = [STATUS.allowed, reply[0] ?? 0, 0, 0]
  for (let at = 1; at < reply.length; at += 2) full.push(reply[at] ?? 0, 0, reply[at + 1] ?? 0)
  return full
}
