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
local TICKS = 2048 -- sequence numbers in a millisecond; keeps them exact in a double until the year 2109

local HEAD = '^(%a+) (%d+) (%d+) (%d+) (%d+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)([^\n]*)\n([^\n]*)\n([^\n]*)(.*)$'

-- ms, and within this ms the half microseconds
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000), time[2] % 1000 * 2
end

local now, ticks = clock()

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

-- What this call changed, for the log: kind and id, and for an expiry how late (ms) it was found.
local made = {}

local function event(kind, id, record)
  local late = kind == 'expired' and math.max(0, now - string.match(record, '%d+')) or ''
  if kind ~= 'used' then made[#made + 1] = kind .. ' ' .. id .. ' ' .. late end
  redis.call('XADD', tag_of(id) .. 'ev', 'MAXLEN', '~', EVENTS_KEPT, '*', 'kind', kind, 'id', id, 'record', record)
end

local function count(token, state, by)
  local totals, tenants = tag_of(token.id) .. 'n', tag_of(token.id) .. 'n:' .. token.tenant
  local field = token.type .. ':' .. state
  redis.call('HINCRBY', totals, state, by)
  if redis.call('HINCRBY', tenants, field, by) == 0 then redis.call('HDEL', tenants, field) end
end

local function list_keys(token, state)
  local rest = token.tenant .. ':' .. token.type .. ':' .. state
  return tag_of(token.id) .. 'i:' .. rest, tag_of(token.id) .. 'o:' .. rest .. ':' .. token.owner
end

local function list(token, state)
  local tenants, owners = list_keys(token, state)
  redis.call('ZADD', tenants, token.sequence, token.id)
  redis.call('ZADD', owners, token.sequence, token.id)
  count(token, state, 1)
end

local function unlist(token, state)
  local tenants, owners = list_keys(token, state)
  redis.call('ZREM', tenants, token.id)
  redis.call('ZREM', owners, token.id)
  count(token, state, -1)
end

-- The one way into a final state: life, record, lists, counts, purge time and event in one step.
local function finish(token, state, at, by)
  redis.call('DEL', key('l', token.id))
  unlist(token, token.state)
  token.state, token.ended_at, token.ended_by = state, whole(at), by
  redis.call('SET', key('t', token.id), render(token))
  list(token, state)
  redis.call('ZADD', tag_of(token.id) .. 'due', whole(now + RETENTION), token.id)
  event(state, token.id, token.record)
end

-- Marks an active record whose life is gone.  Gone before its deadline, it was evicted.
local function mark_lapsed(token)
  local evicted = token.rotation == '' and now < token.deadline
  local by = token.rotation ~= '' and 'rotated' or evicted and 'evicted' or 'life'
  finish(token, lapsed(token.rotation), evicted and now or token.deadline, by)
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
  list(token, 'active')
  event('issued', token.id, token.record)
end
