-- Shared by all scripts; the loader puts it in front of each.  keys.py is the glossary of the keys, record.py of a
-- record:
--
--   active 1764001800000 1764000000000 0000000003 3612672000000000 1800000 - - s - - default session read write
--   ann
--   {"description":"web login"}
--
-- state, deadline, last use, uses, sequence, life, ceiling, most uses, flags, ended at, ended by, tenant, type and
-- scopes; the owner; the rest as JSON; once rotated, the successor's id and its sealed text.  '-' is "none", zeros are
-- "never".  Deadline, last use and uses have fixed widths, so that a use writes them in place.
--
-- Keys are computed from ids: each lies in the slot of KEYS[1], which is all that a cluster has to know.
-- ARGV[1] retention in ms, ARGV[2] events kept per partition; a verb's own arguments begin at ARGV[3].

local RETENTION, EVENTS_KEPT = tonumber(ARGV[1]), ARGV[2]
local MOMENT = 1000000000000 -- ms; a ceiling below this is a duration from now
local IN_PLACE = 7 -- where the deadline begins in an active record: after 'active '
local CHANGING = 38 -- bytes of deadline, last use and uses
local LAST = 2 ^ 53 -- no sequence number is above; all have sixteen digits
local TICKS = 2048 -- sequence numbers in a millisecond; keeps them exact in a double until the year 2109

local HEAD = '^(%a+) (%d+) (%d+) (%d+) (%d+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)([^\n]*)\n([^\n]*)\n([^\n]*)(.*)$'
-- ms, and within this ms the half microseconds
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000), time[2] % 1000 * 2
end

local now, ticks = clock()

local byte, find, sub = string.byte, string.find, string.sub
local A = byte('a') -- no final state begins like 'active'

local function whole(number) return string.format('%.0f', number) end

local function tag_of(id) return 'tl:{' .. string.sub(id, 1, 2) .. '}:' end

local function key(kind, id) return 'tl:{' .. string.sub(id, 1, 2) .. '}:' .. kind .. ':' .. id end

-- The changing part of an active record, as it stands from IN_PLACE on.
local function changing(deadline, last, uses) return string.format('%013.0f %013.0f %010.0f', deadline, last, uses) end

local function parse(id, record)
  local token = { id = id, record = record }
  token.state, token.deadline, token.last, token.uses, token.sequence, token.life, token.ceiling, token.most,
    token.flags, token.ended_at, token.ended_by, token.tenant, token.type, token.scopes, token.owner, token.body,
    token.rotation = string.match(record, HEAD)
  token.deadline, token.uses = tonumber(token.deadline), tonumber(token.uses)
  return token
end

local function render(token)
  token.record = table.concat({ token.state, changing(token.deadline, token.last, token.uses), token.sequence,
    token.life, token.ceiling, token.most, token.flags, token.ended_at, token.ended_by, token.tenant,
    token.type .. token.scopes }, ' ') .. '\n' .. token.owner .. '\n' .. token.body .. token.rotation
  return token.record
end

-- The deadline that a full life gives now; 0 is never.
local function full_life(life, ceiling)
  local deadline = life == '-' and 0 or now + life
  if ceiling ~= '-' and (deadline == 0 or tonumber(ceiling) < deadline) then deadline = tonumber(ceiling) end
  return deadline
end

-- What PTTL says of a life, or nil when there is none.  At 0 the deadline is this very millisecond: over.
-- Before Redis 7.2 the clock of PTTL goes on while a script runs: a life that ends meanwhile is not evicted.
local function remaining(id)
  local left = redis.call('PTTL', key('l', id))
  if left == 0 then now, ticks = clock() end
  if left == -2 or left == 0 then return nil end
  return left
end

-- Why an active record has no life: a rotated token was to be revoked at the end of its overlap, any other expired.
local function lapsed(rotation) return rotation ~= '' and 'revoked' or 'expired' end

-- What this call changed, for the log: kind and id, and for an expiry how late (ms, in digits) it was found.
local made = {}

-- Where more follow in this call, the last one trims for all: half of what an entry costs the log of the store.
local function append(stream, kind, id, record, more)
  if more then
    redis.call('XADD', stream, '*', 'kind', kind, 'id', id, 'record', record)
  else
    redis.call('XADD', stream, 'MAXLEN', '~', EVENTS_KEPT, '*', 'kind', kind, 'id', id, 'record', record)
  end
end

-- Of one that does not end.
local function event(kind, id, record)
  if kind ~= 'used' then made[#made + 1] = kind .. ' ' .. id .. ' ' end
  append(tag_of(id) .. 'ev', kind, id, record)
end

-- The tokens of all owners share a list, where those of one stand together: a list for each would cost two calls for
-- each token that ends, and its own key.
local function place(owner, sequence) return owner .. '\n' .. sequence .. '\n' end

-- From where to where those of an owner stand that have these sequence numbers, both included.
local function places(owner, first, last)
  local function bound(sequence) return '[' .. place(owner, string.format('%016.0f', math.max(0, math.min(sequence, LAST)))) end
  return bound(first), bound(last) .. '\255'
end

-- Puts tokens of one partition into the lists of a state (without one, of their own) and counts them there (by 1), or
-- takes them out (-1).  What they share is written once.
local function relist(tokens, by, state)
  local states = {}
  for i = 1, #tokens do
    local token = tokens[i]
    local of, kind = state or token.state, token.shape.kind
    local kinds = states[of] or {}
    states[of] = kinds
    local group = kinds[kind] or { number = 0, ids = {}, places = {} }
    kinds[kind] = group
    local ids, places, at = group.ids, group.places, group.number + 1
    group.number = at
    if by > 0 then
      ids[2 * at - 1], ids[2 * at] = token.sequence, token.id
      places[2 * at - 1], places[2 * at] = '0', token.place
    else
      ids[at], places[at] = token.id, token.place
    end
  end
  local tag, command = tag_of(tokens[1].id), by > 0 and 'ZADD' or 'ZREM'
  for of, kinds in pairs(states) do
    for kind, group in pairs(kinds) do
      local tenant, type = string.match(kind, '(%S+) (%S+)')
      local tenants, field = tag .. 'n:' .. tenant, type .. ':' .. of
      redis.call(command, tag .. 'i:' .. tenant .. ':' .. field, unpack(group.ids))
      redis.call(command, tag .. 'o:' .. tenant .. ':' .. field, unpack(group.places))
      redis.call('HINCRBY', tag .. 'n', of, by * group.number)
      if redis.call('HINCRBY', tenants, field, by * group.number) == 0 then redis.call('HDEL', tenants, field) end
    end
  end
end

-- The token of an id that may be touched for a tenant ('*': any), or the word that forbids it and the record.
local function active(id, tenant)
  local record = redis.call('GET', key('t', id))
  if not record then return nil, 'unknown', '' end
  local token = parse(id, record)
  if tenant ~= '*' and tenant ~= token.tenant then return nil, 'unknown', '' end
  if token.state ~= 'active' then return nil, token.state, record end
  token.remaining = remaining(id)
  if not token.remaining then return nil, lapsed(token.rotation), record end
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
  token.state, token.last, token.ended_at, token.ended_by, token.rotation = 'active', now, '-', '-', ''
  token.deadline = full_life(token.life, token.ceiling)
  if token.deadline == 0 then
    redis.call('SET', key('l', token.id), '')
  else
    redis.call('SET', key('l', token.id), '', 'PXAT', whole(token.deadline))
    redis.call('ZADD', tag .. 'due', whole(token.deadline), token.id)
  end
  token.remaining = token.deadline == 0 and -1 or token.deadline - now
  redis.call('SET', key('t', token.id), render(token))
  token.shape, token.place = { kind = token.tenant .. ' ' .. token.type }, place(token.owner, token.sequence) .. token.id
  relist({ token }, 1)
  event('issued', token.id, token.record)
end
