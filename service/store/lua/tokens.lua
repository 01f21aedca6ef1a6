-- One token, taken apart: as it is made, looked up, and written again.

local lists = load_lists()
local TICKS = 2048 -- sequence numbers in a millisecond; keeps them exact in a double until the year 2109
local HEAD = '^%a (%d+) (%d+) (%d+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)([^\n]*)\n([^\n]*)\n(%d+)\n([^\n]*)(.*)$'

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
    redis.call('ZADD', tag .. 'due', whole(token.deadline), rest_of(token.id))
  end
  token.remaining = token.deadline == 0 and -1 or token.deadline - now
  redis.call('SET', key('t', token.id), render(token))
  local groups = {}
  local group = lists.group_of(groups, 'active', token.tenant .. ' ' .. token.type)
  lists.add(group, rest_of(token.id), token.sequence, lists.place(token.owner, token.sequence))
  lists.count(tag, groups, 1)
  lists.enter(tag, groups)
  event('issued', token.id, token.record)
end

return { active = active, create = create, render = render, set_deadline = set_deadline }
