-- How tokens end, many at once.
-- Half of what an end costs the store is Lua's strings and tables: so there are few of them a token.

local lists = load_lists()
local group_of, add, relist = lists.group_of, lists.add, lists.relist

-- What a policy says for an end.  Most tokens of a call share theirs with the one before: it is taken apart once.
local shape = { policy = '\n' }

local function shape_of(record)
  local policy = sub(record, POLICY, find(record, '\n', POLICY, true))
  local flags, kind = string.match(policy, '^%S+ %S+ %S+ (%S+) (%S+ %S+)')
  return { policy = policy, lapsed = lapsed(flags), kind = kind }
end

-- Of a record: its shape, its sequence number, and its place in the lists by owner, as `place` has it.
local function shown(record)
  local from, line = find(record, shape.policy, POLICY, true)
  if from ~= POLICY then
    shape = shape_of(record)
    line = POLICY + #shape.policy - 1
  end
  local owner = find(record, '\n', line + 1, true)
  return shape, sub(record, owner + 1, owner + 16), sub(record, line + 1, owner + 16)
end

-- The records of ids of one partition, and whether any of them has a life.
local function read(ids)
  if #ids == 0 then return {}, false end
  local tag, records, lives = tag_of(ids[1]), {}, {}
  for i = 1, #ids do records[i], lives[i] = tag .. 't:' .. ids[i], tag .. 'l:' .. ids[i] end
  return redis.call('MGET', unpack(records)), redis.call('EXISTS', unpack(lives)) > 0
end

-- How long ago (ms) a deadline was that is given in digits, and this in digits; less than 0 in the future and of none.
-- What is over at once had few deadlines: each is computed once.
local ago = {}

local function lateness(digits)
  local late = ago[digits]
  if not late then
    local ms = tonumber(digits) == 0 and -1 or now - digits
    late = { ms = ms, digits = whole(math.max(0, ms)) }
    if ms >= 0 then ago[digits] = late end -- the clock may go on
  end
  return late
end

-- What one whose life is gone ends as, when and by what (none: at its deadline), and how late that is found.
-- Before its deadline, it was evicted.
local function lapse(record, shape)
  local at = sub(record, IN_PLACE + 1, IN_PLACE + DIGITS)
  local late = lateness(at)
  if shape.lapsed == 'revoked' then return 'revoked', at, 'rotated', late end
  if late.ms < 0 then return 'expired', whole(now), 'evicted', late end
  return 'expired', nil, nil, late
end

-- What ends and is not written yet: active tokens of one partition, each once.
local ending

local function begin() ending = { lives = {}, groups = {} } end

begin()

-- Lets an active token end, once `write` has followed: as what, when (in digits) and by what; without these, its
-- life is gone, and it gives how late (ms) that is found, less than 0 of an evicted one.
local function finish(id, record, state, at, by)
  local shape, sequence, place = shown(record)
  local late
  ending.tag = ending.tag or tag_of(id)
  if state then
    ending.lives[#ending.lives + 1] = key('l', id)
  else
    state, at, by, late = lapse(record, shape)
  end
  local group = group_of(ending.groups, state, shape.kind)
  add(group, id, sequence, place)
  local n = group.number
  if state == 'expired' then group.lates[n] = late.digits end
  if at then record = sub(state, 1, 1) .. sub(record, 2) .. '\n= ' .. at .. ' ' .. by end
  group.told[2 * n - 1], group.told[2 * n] = id, record
  return late and late.ms
end

-- The records of a group, what is to be forgotten, and the events.  The event of one that expired at its deadline has
-- the record as it was found: nothing is told anew but its state.
local function write_group(tag, group)
  local told, ids = group.told, table.concat(group.ids)
  for i = 1, #told, 2 do
    local record_key, record = tag .. 't:' .. told[i], told[i + 1]
    if byte(record) == A then
      redis.call('SETRANGE', record_key, '0', 'e') -- in digits: a number would cost a third of the call
    else
      redis.call('SET', record_key, record)
    end
  end
  append(tag .. 'ev', group.state, told)
  redis.call('RPUSH', tag .. 'gone', whole(now) .. ids)
  tell(group.state, ids, table.concat(group.lates, ' '))
end

-- The one way into a final state: life, record, lists, counts, what is to be forgotten, and events in one step, of 1,000
-- tokens or so at most: `unpack` has its bounds.  It begins by taking something away, which a full store allows.
-- out: they are out of what is due already.
local function write(out)
  local tag, groups = ending.tag, ending.groups
  if not tag then return end
  relist(tag, groups, -1, 'active')
  relist(tag, groups, 1)
  for _, life in ipairs(over) do ending.lives[#ending.lives + 1] = life end
  over = {}
  if #ending.lives > 0 then redis.call('DEL', unpack(ending.lives)) end
  for _, kinds in pairs(groups) do
    for _, group in pairs(kinds) do
      if not out then redis.call('ZREM', tag .. 'due', unpack(group.ids)) end
      write_group(tag, group)
    end
  end
  begin()
end

return { shown = shown, read = read, finish = finish, write = write }
