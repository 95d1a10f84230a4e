import type { Policy } from './policy.js'

/** A script's arguments, known when it is written. */
export interface Inlined {
  readonly args: readonly string[]
  readonly policies: readonly Policy[]
  readonly cost: number
}

/**
 * The common case at a third of the price: everything fits, all policies slide, nobody is blocked, and the record holds
 * their sections in their order and nothing else. Writes what the long way would write. Returns before it, or leaves
 * all to it, having changed nothing: refusals, merging of buckets, other settings, foreign bytes, a clock set back.
 */
export function shortcutLua(inlined?: Inlined): string {
  const asked = inlined === undefined ? "ARGV[1] == 'take' and every()" : stepsOf(inlined)
  return `
local head = ${literal(EMPTY)}
local old = record or head
local new, at, life, reply = head, ${EMPTY.length + 1}, 0, { now }

local function step(head, limit, window, quantum, cost)
  local id = floor(now / quantum)
  local rest = (id + 1) * quantum + window - now
  local total, count, from, to, free = 0, 0, at, at, rest
  if sub(old, at, at + #head - 1) == head and #old >= at + #head + 5 then
    total, count, from = unpack('>I4I2', old, at + #head)
    to = from + count * 8
    if #old < to - 1 then return false end
  end
  at = to
  while from < to do
    local entry, points = unpack('>I4I4', old, from)
    local age = (id - entry) % MOD
    if age >= HALF then return false end
    if rest > age * quantum then
      free = rest - age * quantum
      break
    end
    total, count, from = total - points, count - 1, from + 8
  end
  if total + cost > limit or count >= MOST then return false end
  local held = 0
  if from < to then
    local last, points = unpack('>I4I4', old, to - 8)
    if (id - last) % MOD >= HALF then return false end
    if last == id % MOD then held, count, to = points, count - 1, to - 8 end
  end
  new = new .. head .. pack('>I4I2', total + cost, count + 1) .. sub(old, from, to - 1) .. pack('>I4I4', id % MOD, held + cost)
  life = max(life, rest)
  reply[#reply + 1], reply[#reply + 2] = total + cost, free
  return true
end
${inlined === undefined ? EVERY : ''}
if type(old) == 'string' and sub(old, 1, ${EMPTY.length}) == head and ${asked} and at == #old + 1 then
  redis.call('SET', KEYS[1], new, 'PX', life)
  return reply
end
`
}

/** A record of version 1 without block, repetitions and sections. */
const EMPTY = Buffer.concat([Buffer.of(1), Buffer.alloc(13)])

const EVERY = `
local function every()
  for a = 7, #ARGV, 6 do
    local name, window, quantum, cost = ARGV[a], tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
    if ARGV[a + 1] ~= '0' or cost == 0 then return false end
    local head = pack('>Bc0BI4I4', #name, name, 0, window, quantum)
    if not step(head, tonumber(ARGV[a + 2]), window, quantum, cost) then return false end
  end
  return #ARGV > 6
end
`

function stepsOf({ policies, cost }: Inlined): string {
  const steps = policies.map((policy) => {
    const { name, kind, limit, windowMs, quantumMs } = policy
    const points = policy.cost ?? cost
    if (kind !== 0 || points === 0) return 'false'
    const numbers = Buffer.alloc(9)
    numbers.writeUInt32BE(windowMs, 1)
    numbers.writeUInt32BE(quantumMs, 5)
    const head = Buffer.concat([Buffer.of(name.length), Buffer.from(name), numbers])
    return `step(${literal(head)}, ${limit}, ${windowMs}, ${quantumMs}, ${points})`
  })
  return steps.includes('false') ? 'false' : steps.join(' and ')
}

/** Bytes as Lua writes them. */
function literal(bytes: Buffer): string {
  return `'${[...bytes].map((byte) => `\\${String(byte).padStart(3, '0')}`).join('')}'`
}
