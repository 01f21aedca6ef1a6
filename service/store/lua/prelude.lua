-- Shared by all scripts; the loader puts it in front of each.  keys.py is the glossary of the keys, record.py of a
-- record:
--
--   a 1764001800000 1764000000000 0000000003 1800000 - - s default session read write
--   ann
--   3612672000000000
--   {"description":"web login"}
--
-- state (its first letter), deadline, last use, uses, life, ceiling, most uses, flags, tenant, type and
-- scopes; the owner; the sequence number; the rest as JSON.  '-' is "none", zeros are "never".  All up to the life has
-- fixed widths, so that a use writes in place.  Of a rotated one (flag o) a line follows with the successor's id and its
-- sealed text.  A final one has '=', when and by what it ended on a last line; without it, it expired at its deadline.
--
-- Keys are computed from ids: each lies in the slot of KEYS[1], which is all that a cluster has to know.
-- ARGV[1] retention in ms, ARGV[2] events kept per partition; a verb's own arguments begin at ARGV[3].

local RETENTION, EVENTS_KEPT = tonumber(ARGV[1]), ARGV[2]
local MOMENT = 1000000000000 -- ms; a ceiling below this is a duration from now
local IN_PLACE = 2 -- bytes before the deadline
local CHANGING = 38 -- bytes of deadline, last use and uses
local POLICY = IN_PLACE + CHANGING + 2 -- where the rest of the first line begins
local DIGITS, ID = 13, 32 -- bytes of a moment, and of an id
local LAST = 2 ^ 53 -- no sequence number is above; all have sixteen digits
local TICKS = 2048 -- sequence numbers in a millisecond; keeps them exact in a double until the year 2109

local STATES = { a = 'active', e = 'expired', r = 'revoked', c = 'consumed' }
local HEAD = '^%a (%d+) (%d+) (%d+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)([^\n]*)\n([^\n]*)\n(%d+)\n([^\n]*)(.*)$'

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

-- The changing part of a record, as it stands from IN_PLACE on.
local function changing(deadline, last, uses) return string.format('%013.0f %013.0f %010.0f', deadline, last, uses) end

-- What an active record says, word by word.
local function parse(id, record)
  local token = { id = id, record = record, state = 'active' }
  token.deadline, token.last, token.uses, token.life, token.ceiling, token.most, token.flags, token.tenant, token.type,
    token.scopes, token.owner, token.sequence, token.body, token.rotation = string.match(record, HEAD)
  token.deadline, token.uses = tonumber(token.deadline), tonumber(token.uses)
  return token
end

local function render(token)
  token.record = table.concat({ 'a', changing(token.deadline, token.last, token.uses), token.life, token.ceiling,
    token.most, token.flags, token.tenant, token.type .. token.scopes }, ' ') .. '\n' .. token.owner .. '\n'
    .. token.sequence .. '\n' .. token.body .. token.rotation
  return token.record
end

local function state_of(record) return STATES[sub(record, 1, 1)] end

-- The deadline that a full life gives now; 0 is never.
local function full_life(life, ceiling)
  local deadline = life == '-' and 0 or now + life
  if ceiling ~= '-' and (deadline == 0 or tonumber(ceiling) < deadline) then deadline = tonumber(ceiling) end
  return deadline
end

-- Lives that were looked at in the millisecond of their deadline: they may stand there still, and be evicted later as if
-- they had been alive.
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

-- Tells the log what happened to tokens; told: id, record, id, record, ...  An entry has a kind, and then of each token
-- the id and the record; its own id is the place of the last of them, the others have the places before.  So the second
-- and those behind it share entries, of as many as a node of a stream holds (4 kB): each alone would take a sixth of
-- what its end costs the store.
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
  append(tag_of(id) .. 'ev', kind, { id, record })
end

-- The tokens of all owners share a list, where those of one stand together: a list for each would cost two calls for
-- each token that ends, and its own key.  An id is found by its sequence number in the tenant's list: in both, it would
-- take 32 bytes more of each token.
local function place(owner, sequence) return owner .. '\n' .. sequence end

-- The id of a sequence number in a tenant's list, or nil: a store that evicts or was damaged may have lost it.
local function id_at(list, sequence) return redis.call('ZRANGEBYSCORE', list, sequence, sequence)[1] end

-- From where to where those of an owner stand that have these sequence numbers, both included.
local function places(owner, first, last)
  local function bound(sequence) return '[' .. place(owner, string.format('%016.0f', math.max(0, math.min(sequence, LAST)))) end
  return bound(first), bound(last)
end

-- Tokens of a partition that share a tenant and a type (their kind) and a state, as the lists take them.
local function group_of(groups, state, kind)
  local kinds = groups[state] or {}
  groups[state] = kinds
  local group = kinds[kind]
    or { state = state, kind = kind, number = 0, ids = {}, places = {}, scored = {}, unscored = {}, told = {}, lates = {} }
  kinds[kind] = group
  return group
end

local function add(group, id, sequence, place)
  local n = group.number + 1
  group.number, group.ids[n], group.places[n] = n, id, place
  group.scored[2 * n - 1], group.scored[2 * n] = sequence, id
  group.unscored[2 * n - 1], group.unscored[2 * n] = '0', place
end

-- Puts groups into the lists of a state (without one, of their own) and counts them there (by 1), or takes them out (-1).
local function relist(tag, groups, by, state)
  for _, kinds in pairs(groups) do
    for _, group in pairs(kinds) do
      local tenant, type = string.match(group.kind, '(%S+) (%S+)')
      local of, change = state or group.state, by * group.number
      local tenants, field = tag .. 'n:' .. tenant, type .. ':' .. of
      local all, by_owner = tag .. 'i:' .. tenant .. ':' .. field, tag .. 'o:' .. tenant .. ':' .. field
      if by > 0 then
        redis.call('ZADD', all, unpack(group.scored))
        redis.call('ZADD', by_owner, unpack(group.unscored))
      else
        redis.call('ZREM', all, unpack(group.ids))
        redis.call('ZREM', by_owner, unpack(group.places))
      end
      redis.call('HINCRBY', tag .. 'n', of, change)
      if redis.call('HINCRBY', tenants, field, change) == 0 then redis.call('HDEL', tenants, field) end
    end
  end
end

-- The token of an id that may be touched for a tenant ('*': any), or the word that forbids it and the record.
local function active(id, tenant)
  local record = redis.call('GET', key('t', id))
  if not record then return nil, 'unknown', '' end
  local token, state = parse(id, record), state_of(record)
  if tenant ~= '*' and tenant ~= token.tenant then return nil, 'unknown', '' end
  if state ~= 'active' then return nil, state, record end
  token.remaining = remaining(id)
  if not token.remaining then return nil, lapsed(token.flags), record end
  return token
end

-- Gives an active token a new deadline (0: never), in the life key and in the record.
local function set_deadline(token, deadline)
  if deadline == 0 then
    redis.call('PERSIST', key('l', token.id))
  else
    redis.call('PEXPIREAT', key('l', token.id), whole(deadline))
  end
  token.deadline = deadline
  token.remaining = deadline == 0 and -1 or deadline - now
end

-- Writes a new active token, whole.  A sequence number is unique in its partition and follows the clock, so closely
-- that tokens of several partitions stand in the order in which one server wrote them.
local function create(token)
  local tag = tag_of(token.id)
  local last = tonumber(redis.call('HGET', tag .. 'n', 'sequence') or 0)
  token.sequence = whole(math.max(now * TICKS + ticks, last + 1))
  redis.call('HSET', tag .. 'n', 'sequence', token.sequence)
  token.state, token.last, token.rotation = 'active', now, ''
  token.deadline = full_life(token.life, token.ceiling)
  -- The value says nothing; a small number is one that Redis 7 has already: 24 bytes less than an empty string.
  if token.deadline == 0 then
    redis.call('SET', key('l', token.id), '1')
  else
    redis.call('SET', key('l', token.id), '1', 'PXAT', whole(token.deadline))
    redis.call('ZADD', tag .. 'due', whole(token.deadline), token.id)
  end
  token.remaining = token.deadline == 0 and -1 or token.deadline - now
  redis.call('SET', key('t', token.id), render(token))
  local groups = {}
  local group = group_of(groups, 'active', token.tenant .. ' ' .. token.type)
  add(group, token.id, token.sequence, place(token.owner, token.sequence))
  relist(tag, groups, 1)
  event('issued', token.id, token.record)
end
