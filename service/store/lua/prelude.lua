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
-- What the end of a token needs of it; head and tail are all that stays, on both sides of when and by what it ended.
local BRIEF = '^(%a+)( (%d+) %d+ %d+ (%d+) %S+ %S+ %S+ %S+ )%S+ %S+( (%S+) (%S+)[^\n]*\n([^\n]*)\n[^\n]*(.*))$'

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
  local late = kind == 'expired' and math.max(0, now - string.sub(record, #kind + 2, #kind + 14)) or ''
  if kind ~= 'used' then made[#made + 1] = kind .. ' ' .. id .. ' ' .. late end
  redis.call('XADD', tag_of(id) .. 'ev', 'MAXLEN', '~', EVENTS_KEPT, '*', 'kind', kind, 'id', id, 'record', record)
end

-- Puts tokens of one partition into the lists of their states and counts them there (by 1), or takes them out (-1).
-- What they share is written once.
local function relist(tokens, by)
  local tag, groups, owners = tag_of(tokens[1].id), {}, {}
  local function gather(words, token)
    if by > 0 then words[#words + 1] = token.sequence end
    words[#words + 1] = token.id
  end
  for _, token in ipairs(tokens) do
    local name = token.tenant .. ':' .. token.type .. ':' .. token.state
    local group = groups[name]
    if not group then
      group = { like = token, number = 0, words = {}, owners = tag .. 'o:' .. name .. ':' }
      groups[name] = group
    end
    group.number = group.number + by
    gather(group.words, token)
    local list = group.owners .. token.owner
    owners[list] = owners[list] or {}
    gather(owners[list], token)
  end
  local command = by > 0 and 'ZADD' or 'ZREM'
  for list, words in pairs(owners) do redis.call(command, list, unpack(words)) end
  for name, group in pairs(groups) do
    local tenants, field = tag .. 'n:' .. group.like.tenant, group.like.type .. ':' .. group.like.state
    redis.call(command, tag .. 'i:' .. name, unpack(group.words))
    redis.call('HINCRBY', tag .. 'n', group.like.state, group.number)
    if redis.call('HINCRBY', tenants, field, group.number) == 0 then redis.call('HDEL', tenants, field) end
  end
end

-- Half the price of `parse`, where there are many.
local function brief(id, record)
  local state, head, deadline, sequence, tail, tenant, kind, owner, rotation = string.match(record, BRIEF)
  return { id = id, record = record, state = state, head = head, deadline = tonumber(deadline), sequence = sequence,
    tail = tail, tenant = tenant, type = kind, owner = owner, rotation = rotation }
end

-- The brief tokens of ids of one partition, with the remaining life of those that are active; `false` where there is
-- no record.
local function briefs(ids)
  if #ids == 0 then return {} end
  local tag, records, lives, tokens = tag_of(ids[1]), {}, {}, {}
  for i, id in ipairs(ids) do records[i], lives[i] = tag .. 't:' .. id, tag .. 'l:' .. id end
  records, lives = redis.call('MGET', unpack(records)), redis.call('MGET', unpack(lives))
  for i, id in ipairs(ids) do
    tokens[i] = records[i] and brief(id, records[i])
    if lives[i] and tokens[i] then tokens[i].remaining = remaining(id) end
  end
  return tokens
end

-- What a brief token ends as, when (in digits), and by what.
local function ending(token, state, at, by)
  token.to, token.at, token.by = state, at, by
  return token
end

-- The ending of one whose life is gone.  Gone before its deadline, it was evicted.
local function lapse(token)
  local evicted = token.rotation == '' and now < token.deadline
  local by = token.rotation ~= '' and 'rotated' or evicted and 'evicted' or 'life'
  return ending(token, lapsed(token.rotation), evicted and whole(now) or string.sub(token.head, 2, 14), by)
end

-- The one way into a final state: life, record, lists, counts, purge times and events in one step, of brief tokens of
-- one partition that have their endings, 1,000 or so at most: `unpack` has its bounds.  It begins by taking something
-- away, which a full store allows, and what may be written twice comes first.
local function finish_all(tokens)
  if #tokens == 0 then return end
  local tag, purge = tag_of(tokens[1].id), whole(now + RETENTION)
  local lives, records, due = {}, {}, {}
  relist(tokens, -1)
  for i, token in ipairs(tokens) do
    token.state = token.to
    token.record = token.state .. token.head .. token.at .. ' ' .. token.by .. token.tail
    lives[i] = tag .. 'l:' .. token.id
    records[2 * i - 1], records[2 * i] = tag .. 't:' .. token.id, token.record
    due[2 * i - 1], due[2 * i] = purge, token.id
    event(token.state, token.id, token.record)
  end
  relist(tokens, 1)
  redis.call('DEL', unpack(lives))
  redis.call('MSET', unpack(records))
  redis.call('ZADD', tag .. 'due', unpack(due))
end

-- The same for one that was parsed.
local function finish(token, state, at, by)
  local ended = ending(brief(token.id, token.record), state, whole(at), by)
  finish_all({ ended })
  token.state, token.record, token.ended_at, token.ended_by = ended.state, ended.record, ended.at, by
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
  relist({ token }, 1)
  event('issued', token.id, token.record)
end
