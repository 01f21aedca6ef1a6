-- Shared by all scripts; the loader puts it in front of each, with the parts that a script may load (lists, tokens,
-- ends).  keys.py is the glossary of the keys, record.py of a record:
--
--   a 1764001800000 1764000000000 0000000003 1800000 - - s default session read write
--   ann
--   3612672000000000
--   {"description":"web login"}
--
-- state (its first letter), deadline, last use, uses, life, ceiling, most uses, flags, tenant, type and
-- scopes; the owner; the sequence number; the rest as JSON.  '-' is "none", zeros are "never".  All up to the life has
-- fixed widths, so that a use writes in place.  Of a rotated one (flag o) a line follows with the successor's id and
-- its sealed text.  A final one has '=', when and by what it ended on a last line; without it, it expired at its
-- deadline.  Of those that expire so together the state is written when they are relisted, seconds later: nobody takes
-- an active one without a life for alive, and a sweep has told of it when it has no place in `due` any more.
--
-- Keys are computed from ids: each lies in the slot of KEYS[1], which is all that a cluster has to know.
-- ARGV[1] retention in ms, ARGV[2] events kept per partition; a verb's own arguments begin at ARGV[3].

local RETENTION, EVENTS_KEPT = tonumber(ARGV[1]), ARGV[2]
local MOMENT = 1000000000000 -- ms; a ceiling below this is a duration from now
local IN_PLACE = 2 -- bytes before the deadline
local CHANGING = 38 -- bytes of deadline, last use and uses
local POLICY = IN_PLACE + CHANGING + 2 -- where the rest of the first line begins
local DIGITS, ID = 13, 32 -- bytes of a moment, and of an id

local STATES = { a = 'active', e = 'expired', r = 'revoked', c = 'consumed' }

-- ms, and within this ms the half microseconds
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000), time[2] % 1000 * 2
end

local now, ticks = clock()

local byte, find, sub = string.byte, string.find, string.sub
local A = byte('a')

local function whole(number) return string.format('%.0f', number) end

local function tag_of(id) return 'tl:{' .. string.sub(id, 1, 2) .. '}:' end

local function key(kind, id) return 'tl:{' .. string.sub(id, 1, 2) .. '}:' .. kind .. ':' .. id end

-- All ids of a partition begin with the same two digits: a place in a sorted set does without them, and takes 16 bytes
-- less where the allocator has steps of 16 (Debian's Redis).
local function rest_of(id) return sub(id, 3) end

-- near: a key of its partition.
local function id_of(near, rest) return sub(near, 5, 6) .. rest end

local function state_of(record) return STATES[sub(record, 1, 1)] end

-- The deadline that a full life gives now; 0 is never.
local function full_life(life, ceiling)
  local deadline = life == '-' and 0 or now + life
  if ceiling ~= '-' and (deadline == 0 or tonumber(ceiling) < deadline) then deadline = tonumber(ceiling) end
  return deadline
end

-- Lives that were looked at in the millisecond of their deadline: they may stand there still, and be evicted later as
-- if they had been alive.
local over = {}

-- What PTTL says of a life, or nil when there is none.  At 0 the deadline is this very millisecond: over.
-- Before Redis 7.2 the clock of PTTL goes on while a script runs: a life that ends meanwhile is not evicted.
local function remaining(id)
  local left = redis.call('PTTL', key('l', id))
  if left == 0 then
    now, ticks = clock()
    over[#over + 1] = key('l', id)
  end
  if left == -2 or left == 0 then return nil end
  return left
end

-- Why an active record has no life: a rotated token was to be revoked at the end of its overlap, any other expired.
local function lapsed(flags) return find(flags, 'o', 1, true) and 'revoked' or 'expired' end

-- What this call changed, for the log: kind, ids in a row, and for expiries how late (ms) each was found, "5 0 12".
local made = {}

local function tell(kind, ids, lates)
  local last = #made
  made[last + 1], made[last + 2], made[last + 3] = kind, ids, lates
end

-- Tells the log what happened to tokens; told: rest, record, rest, record, ...  An entry has a kind, and then of each
-- token the rest of its id and the record; its own id is the place of the last of them, the others have the places
-- before.  So the second and those behind it share entries, of as many as a node of a stream holds (4 kB): each alone
-- would take a sixth of the instructions of its end.
local BUNDLE = 16

local function append(stream, kind, told)
  local place = redis.call('XADD', stream, 'MAXLEN', '~', EVENTS_KEPT, '*', 'kind', kind, told[1], told[2])
  if #told == 2 then return end
  local ms, sequence = string.match(place, '(%d+)-(%d+)')
  for first = 3, #told, 2 * BUNDLE do
    local last = math.min(first + 2 * BUNDLE - 1, #told)
    sequence = sequence + (last - first + 1) / 2
    redis.call('XADD', stream, ms .. '-' .. whole(sequence), 'kind', kind, unpack(told, first, last))
  end
end

-- Of one that does not end.
local function event(kind, id, record)
  if kind ~= 'used' then tell(kind, id, '') end
  append(tag_of(id) .. 'ev', kind, { rest_of(id), record })
end
