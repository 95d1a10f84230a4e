import { type Inlined, shortcutLua } from './shortcut-lua.js'

/**
 * All decisions about one principal: its policies are checked and charged together, all or none.
 *
 * KEYS[1]  the principal's record
 * ARGV[1]  'take' check, then charge · 'peek' check only · 'charge' without a check · 'refund' · 'block'
 * ARGV[2]  refund: when it was charged (ms), 0 for the newest charges first · block: for how long (ms)
 * ARGV[3…6] what a refusal starts: block (ms, 0 for none), growth per repetition, longest block, memory of repetitions
 * ARGV[7…] per policy: name, kind (0 sliding, 1 fixed, 2 gcra), limit, window (ms), quantum (ms), cost
 * Reply    status (1 allowed, 0 refused, 2 blocked), Redis' clock (ms), rest of the block (ms), 1 where foreign bytes
 *          were found, then per policy: points used, ms until the cost fits (0: it does), ms until anything is freed.
 *          From the shortcut: Redis' clock, then per policy: points used, ms until anything is freed
 *
 * With `inlined`, the arguments are written into the script, and there are none to send and to read.
 *
 * Record: version, blocked until, repetitions, remembered until; then sections of: name, kind, window, quantum, total,
 * count, count × 8 bytes. Sliding and fixed logs hold (bucket id modulo 2^32, points) in order of time; a bucket counts
 * in full until its last millisecond has left the window, so that no window ever holds more than the limit. GCRA holds
 * one double, the theoretical arrival time in µs.
 *
 * A section is known by name, kind, window and quantum. A caller with other settings starts its own from the entries of
 * the same name, and each charges the other's as well: while two versions of an application run side by side nobody is
 * given twice the limit, and nobody's history is stretched.
 */
export function decisionLua(clock: string, inlined?: Inlined): string {
  return `
local MOD, HALF, MOST, GCRA = 4294967296, 2147483648, 128, 2
local floor, max, sub, pack, unpack = math.floor, math.max, string.sub, struct.pack, struct.unpack
local T = ${clock}
local us = T[1] * 1000000 + T[2]
local now = floor(us / 1000)
local record = redis.pcall('GET', KEYS[1])
${shortcutLua(inlined)}
${inlined === undefined ? '' : `local ARGV = { ${inlined.args.map((each) => `'${each}'`).join(', ')} }`}
local min, ceil = math.min, math.ceil
local op, argument = ARGV[1], tonumber(ARGV[2])
local blocked, strikes, remembered, foreign, sections, changed = 0, 0, 0, 0, {}, false

local function parse(v)
  local version, at
  version, blocked, strikes, remembered, at = unpack('>BI6BI6', v)
  if version ~= 1 then error('version') end
  while at <= #v do
    local s, n = {}, 0
    s.name, s.kind, s.window, s.quantum, s.total, n, at = unpack('>Bc0BI4I4I4I2', v, at)
    s.body = sub(v, at, at + n * 8 - 1)
    if #s.body ~= n * 8 or s.quantum == 0 then error('length') end
    at = at + n * 8
    sections[#sections + 1] = s
  end
end

local function ends(s, id)
  return (floor(now / s.quantum) - (floor(now / s.quantum) - id) % MOD + 1) * s.quantum + s.window
end

-- Drops what has left the window. What a clock set back has put into the future is taken, and kept, as of now.
local function sweep(s)
  if s.kind == GCRA then return end
  local id = floor(now / s.quantum)
  local at, last = 1, #s.body
  while at <= last do
    local entry, points = unpack('>I4I4', s.body, at)
    if (id - entry) % MOD >= HALF or ends(s, entry) > now then break end
    s.total = s.total - points
    at = at + 8
  end
  if at > 1 then s.body = sub(s.body, at) end
  local future = 0
  while #s.body > 0 do
    local entry, points = unpack('>I4I4', s.body, #s.body - 7)
    if (id - entry) % MOD < HALF then break end
    future = future + points
    s.body = sub(s.body, 1, -9)
  end
  if future > 0 then
    s.body = s.body .. pack('>I4I4', id % MOD, future)
    changed = true
  end
end

local function append(s, id, points)
  s.total = min(s.total + points, MOD - 1)
  if #s.body > 0 then
    local last, held = unpack('>I4I4', s.body, #s.body - 7)
    if s.kind == 1 or last == id then
      s.body = sub(s.body, 1, -9) .. pack('>I4I4', last, min(held + points, MOD - 1))
      return
    end
  end
  if #s.body >= MOST * 8 then
    local merged = {}
    for at = 1, #s.body - 15, 16 do
      local _, a, b, c = unpack('>I4I4I4I4', s.body, at)
      merged[#merged + 1] = pack('>I4I4', b, min(a + c, MOD - 1))
    end
    s.body = table.concat(merged)
  end
  s.body = s.body .. pack('>I4I4', id, points)
end

local function charge(s, points)
  if s.kind == GCRA then
    local tat = max(#s.body == 8 and unpack('>d', s.body) or 0, us)
    s.body = pack('>d', min(tat + points * s.window * 1000 / s.limit, us + s.window * 1000))
  else
    append(s, floor(now / s.quantum) % MOD, points)
  end
end

-- points used, ms until the cost fits, ms until anything is freed
local function look(s, cost)
  if s.kind == GCRA then
    local step, full = s.window * 1000 / s.limit, s.window * 1000
    local ahead = min(max((#s.body == 8 and unpack('>d', s.body) or 0) - us, 0), full)
    local used = ceil(ahead / step - 0.000001)
    local wait = cost > s.limit and s.window or ceil((ahead + cost * step - full) / 1000 - 0.000001)
    return used, max(wait, 0), used > 0 and max(ceil((ahead - (used - 1) * step) / 1000), 1) or 0
  end
  if #s.body == 0 then return s.total, cost > s.limit and s.window or 0, 0 end
  local first = ends(s, (unpack('>I4', s.body))) - now
  local excess = s.total + cost - s.limit
  if excess <= 0 or cost == 0 then return s.total, 0, first end
  if cost > s.limit then return s.total, max(s.window, first), first end
  local at, freed, wait = 1, 0, first
  while freed < excess and at <= #s.body do
    local id, points = unpack('>I4I4', s.body, at)
    freed, wait, at = freed + points, ends(s, id) - now, at + 8
  end
  return s.total, wait, first
end

local function refund(s, points, charged)
  if s.kind == GCRA then
    if #s.body == 8 then s.body = pack('>d', unpack('>d', s.body) - points * s.window * 1000 / s.limit) end
    return
  end
  local id = floor(charged / s.quantum) % MOD
  for at = #s.body - 7, 1, -8 do
    if points <= 0 then return end
    local entry, held = unpack('>I4I4', s.body, at)
    if charged == 0 or entry == id or (s.kind == 1 and (id - entry) % MOD < HALF) then
      local back = min(points, held)
      s.total = s.total - back
      points = points - back
      local rest = held > back and pack('>I4I4', entry, held - back) or ''
      s.body = sub(s.body, 1, at - 1) .. rest .. sub(s.body, at + 8)
      if charged > 0 then return end
    end
  end
end

-- The sections asked about first, in their order: so the shortcut looks for them.
local function save(own)
  local parts, life = { pack('>BI6BI6', 1, blocked, strikes, remembered) }, max(blocked, remembered) - now
  for i = 1, #sections do
    if not sections[i].own then own[#own + 1] = sections[i] end
  end
  for i = 1, #own do
    local s = own[i]
    local until_ = now
    if #s.body > 0 then
      if s.kind == GCRA then until_ = ceil(unpack('>d', s.body) / 1000)
      else until_ = ends(s, (unpack('>I4', s.body, #s.body - 7))) end
    end
    if until_ > now then
      life = max(life, until_ - now)
      parts[#parts + 1] = pack('>Bc0BI4I4I4I2', #s.name, s.name, s.kind, s.window, s.quantum, s.total, #s.body / 8)
      parts[#parts + 1] = s.body
    end
  end
  if life > 0 then redis.call('SET', KEYS[1], table.concat(parts), 'PX', string.format('%.0f', life))
  else redis.call('DEL', KEYS[1]) end
end

if type(record) == 'table' and record.err then foreign = 1
elseif record and not pcall(parse, record) then
  blocked, strikes, remembered, foreign, sections = 0, 0, 0, 1, {}
end
if blocked <= now then blocked = 0 end
if remembered <= now then strikes, remembered = 0, 0 end
for i = 1, #sections do sweep(sections[i]) end

local own, stored = {}, #sections
for a = 7, #ARGV, 6 do
  local name, kind, window, quantum = ARGV[a], tonumber(ARGV[a + 1]), tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
  local mine, kin
  for i = 1, stored do
    local s = sections[i]
    if s.name == name and s.kind == kind then
      if kind == GCRA or (s.window == window and s.quantum == quantum) then mine = s else kin = kin or s end
    elseif s.name == name and s.kind ~= GCRA and kind ~= GCRA then kin = kin or s end
  end
  if not mine then
    mine = { name = name, kind = kind, window = window, quantum = quantum, total = 0, body = '' }
    if kin then
      for at = 1, #kin.body, 8 do
        local id, points = unpack('>I4I4', kin.body, at)
        append(mine, (ceil((ends(kin, id) - kin.window) / quantum) - 1) % MOD, points)
      end
      sweep(mine)
    end
    sections[#sections + 1] = mine
  end
  mine.window, mine.limit, mine.cost, mine.own = window, tonumber(ARGV[a + 2]), tonumber(ARGV[a + 5]), true
  own[#own + 1] = mine
end

local status, waits = 1, 0
if op == 'block' then
  blocked, changed = now + argument, true
elseif op == 'refund' then
  for i = 1, #own do refund(own[i], own[i].cost, argument) end
  changed = record ~= false
elseif blocked > now then
  status = 2
end
local reply = { status, now, blocked > now and blocked - now or 0, foreign }
for i = 1, #own do
  local used, wait, free = look(own[i], own[i].cost)
  if op ~= 'charge' and wait > 0 and status == 1 then status = 0 end
  waits = max(waits, wait)
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = used, wait, free
end
if (op == 'take' or op == 'charge') and (status == 1 or op == 'charge') then
  for i = 1, #own do
    local s = own[i]
    if s.cost > 0 then
      changed = true
      charge(s, s.cost)
      for j = 1, stored do
        local other = sections[j]
        if not other.own and other.name == s.name and other.kind ~= GCRA then charge(other, s.cost) end
      end
      local used, _, free = look(s, 0)
      reply[i * 3 + 2], reply[i * 3 + 4] = used, free
    end
  end
elseif op == 'take' and status == 0 then
  local length, growth = tonumber(ARGV[3]), tonumber(ARGV[4])
  if length > 0 then
    -- Never shorter than the window needs: who waits for the end of a block is not blocked again at once.
    blocked = now + max(min(length * growth ^ strikes, tonumber(ARGV[5])), waits)
    strikes, remembered, changed = min(strikes + 1, 200), blocked + tonumber(ARGV[6]), true
    status, reply[3] = 2, blocked - now
  end
end
if changed then save(own) end
reply[1] = status
return reply
`
}
