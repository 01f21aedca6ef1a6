-- How tokens end, many at once: the loader puts this between the prelude and each script.
-- Written for few strings and tables, each of which costs the store 600 instructions and more: a mark is 88,000 of them,
-- and was 125,000.

-- From behind the sequence to the owner; all but when and by what it ended stays.
local SHAPE = '^( %S+ %S+ %S+ %S+ )%S+ %S+( (%S+ %S+).*)$'

-- Most tokens of a call have the same shape: it is taken apart once.
local shapes = {}

local function shape_of(words)
  local shape = shapes[words]
  if not shape then
    local policy, tail, kind = string.match(words, SHAPE)
    shape = { policy = policy, tail = tail, kind = kind }
    shapes[words] = shape
  end
  return shape
end

-- What an end needs of a token, with as few strings as can be: there may be many.  left: its remaining life.
local function brief(id, record, left)
  local state = byte(record) == A and 'active' or string.match(record, '^%a+')
  local at = #state + CHANGING + 3
  local space = find(record, ' ', at, true)
  local line = find(record, '\n', space, true)
  local owner = find(record, '\n', line + 1, true)
  local sequence = sub(record, at, space - 1)
  return { id = id, record = record, state = state, sequence = sequence, shape = shape_of(sub(record, space, line - 1)),
    place = sub(record, line + 1, owner) .. sequence .. '\n' .. id, -- as `place` has it
    space = space, line = line, rotated = find(record, '\n', owner + 1, true) ~= nil, remaining = left }
end

-- The brief tokens of ids of one partition, with the remaining life of those that are active; `false` where there is
-- no record.
local function briefs(ids)
  if #ids == 0 then return {} end
  local tag, records, lives, tokens = tag_of(ids[1]), {}, {}, {}
  for i = 1, #ids do records[i], lives[i] = tag .. 't:' .. ids[i], tag .. 'l:' .. ids[i] end
  records, lives = redis.call('MGET', unpack(records)), redis.call('MGET', unpack(lives))
  for i = 1, #ids do
    tokens[i] = records[i] and brief(ids[i], records[i], lives[i] and remaining(ids[i]))
  end
  return tokens
end

-- What an active brief token ends as, when (in digits), and by what.  late: see `made`.
local function ending(token, state, at, by, late)
  local record, shape = token.record, token.shape
  token.state = state
  token.record = state .. sub(record, IN_PLACE, token.space - 1) .. shape.policy .. at .. ' ' .. by .. shape.tail
    .. sub(record, token.line)
  made[#made + 1] = state .. ' ' .. token.id .. ' ' .. (late or '')
  return token
end

-- How long ago (ms) a moment was that is given in digits, and this in digits; less than 0 in the future.  What is over
-- at once had few deadlines: each is computed once.
local ago = {}

local function lateness(digits)
  local late = ago[digits]
  if not late then
    local ms = now - digits
    late = { ms = ms, digits = whole(math.max(0, ms)) }
    if ms >= 0 then ago[digits] = late end -- the clock may go on
  end
  return late
end

-- The ending of one whose life is gone; gives how late (ms) that is.  Less than 0, before its deadline: it was evicted.
local function lapse(token)
  local at = sub(token.record, IN_PLACE + 1, IN_PLACE + 13)
  local late = lateness(at)
  if token.rotated then
    ending(token, 'revoked', at, 'rotated')
  elseif late.ms < 0 then
    ending(token, 'expired', whole(now), 'evicted', '0')
  else
    ending(token, 'expired', at, 'life', late.digits)
  end
  return late.ms
end

-- The one way into a final state: life, record, lists, counts, purge times and events in one step, of active brief
-- tokens of one partition that have their endings, 1,000 or so at most: `unpack` has its bounds.  It begins by taking
-- something away, which a full store allows, and what may be written twice comes first.
local function finish_all(tokens)
  local number = #tokens
  if number == 0 then return end
  local tag, purge = tag_of(tokens[1].id), whole(now + RETENTION)
  local stream, lives, records, due = tag .. 'ev', {}, {}, {}
  relist(tokens, -1, 'active')
  for i = 1, number do
    local token = tokens[i]
    local id, record = token.id, token.record
    if token.remaining then lives[#lives + 1] = tag .. 'l:' .. id end
    records[2 * i - 1], records[2 * i] = tag .. 't:' .. id, record
    due[2 * i - 1], due[2 * i] = purge, id
    append(stream, token.state, id, record, i < number)
  end
  relist(tokens, 1)
  if #lives > 0 then redis.call('DEL', unpack(lives)) end
  redis.call('MSET', unpack(records))
  redis.call('ZADD', tag .. 'due', unpack(due))
end

-- The same for one that was parsed.
local function finish(token, state, at, by)
  local ended = ending(brief(token.id, token.record, true), state, whole(at), by)
  finish_all({ ended })
  token.state, token.record, token.ended_at, token.ended_by = state, ended.record, whole(at), by
end
