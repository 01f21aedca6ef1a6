-- How tokens end, many at once.
-- Half of what an end costs the store is Lua's strings and tables: so there are few of them a token.

local lists = load_lists()
local group_of, add = lists.group_of, lists.add
local CHUNK = 100 -- tokens that are relisted at once

-- What a policy says for an end.  Most tokens of a call share theirs with the one before: it is taken apart once.
local shape = { policy = '\n' }

local function shape_of(record)
  local policy = sub(record, POLICY, find(record, '\n', POLICY, true))
  local flags, kind = string.match(policy, '^%S+ %S+ %S+ (%S+) (%S+ %S+)')
  return { policy = policy, lapsed = lapsed(flags), kind = kind, over = {} }
end

-- Of a record: its shape, and where its owner begins.
local function shown(record)
  local from, line = find(record, shape.policy, POLICY, true)
  if from ~= POLICY then
    shape = shape_of(record)
    line = POLICY + #shape.policy - 1
  end
  return shape, line + 1
end

-- Of a record whose owner begins there: its sequence number, and its place in the lists by owner, as `place` has it.
local function standing(record, at)
  local owner = find(record, '\n', at, true)
  return sub(record, owner + 1, owner + 16), sub(record, at, owner + 16)
end

-- The records of ids of one partition, and whether any of them has a life.
local function read(ids)
  if #ids == 0 then return {}, false end
  local tag, records, lives = tag_of(ids[1]), {}, {}
  local t, l = tag .. 't:', tag .. 'l:'
  for i = 1, #ids do records[i], lives[i] = t .. ids[i], l .. ids[i] end
  return redis.call('MGET', unpack(records)), redis.call('EXISTS', unpack(lives)) > 0
end

-- What ends and is not written yet: active tokens of one partition, each once.
local ending

-- later: they are out of what is due, and their places in the lists are for `relist` to move
local function begin(later)
  ending = { lives = {}, groups = {}, later = later }
  shape = { policy = '\n' }
end

begin()

-- How those of a shape end whose lives are gone and whose deadline was this: in which group, with which last line (none:
-- at the deadline), and how late (ms) that is found, less than 0 of those that were evicted before.
local function verdict_of(shape, deadline)
  local late = tonumber(deadline) == 0 and -1 or now - deadline
  local state, line, digits = 'expired', nil, whole(math.max(0, late))
  if shape.lapsed == 'revoked' then
    state, line, digits = 'revoked', '\n= ' .. deadline .. ' rotated', nil
  elseif late < 0 then
    line = '\n= ' .. whole(now) .. ' evicted'
  end
  local verdict = { group = group_of(ending.groups, state, shape.kind), line = line, late = late, digits = digits }
  if late >= 0 then shape.over[deadline] = verdict end -- else the clock may go on
  return verdict
end

-- Puts one down to end, with the record that it will have; owner: where that begins in it.
local function put(group, id, record, owner)
  ending.tag = ending.tag or tag_of(id)
  if ending.later then add(group, id) else add(group, id, standing(record, owner)) end
  local n = group.number
  group.told[2 * n - 1], group.told[2 * n] = id, record
  return n
end

-- Lets an active token end whose life is gone, once `write` has followed.  Gives how late (ms) that is found, less than
-- 0 of an evicted one.
local function lapse(id, record)
  local shape, owner = shown(record)
  local deadline = sub(record, IN_PLACE + 1, IN_PLACE + DIGITS)
  local verdict = shape.over[deadline] or verdict_of(shape, deadline)
  local group = verdict.group
  if verdict.line then record = sub(group.state, 1, 1) .. sub(record, 2) .. verdict.line end
  group.lates[put(group, id, record, owner)] = verdict.digits
  return verdict.late
end

-- The same for one that has a life still: as what, when (in digits) and by what.
local function finish(id, record, state, at, by)
  local shape, owner = shown(record)
  ending.lives[#ending.lives + 1] = key('l', id)
  record = sub(state, 1, 1) .. sub(record, 2) .. '\n= ' .. at .. ' ' .. by
  put(group_of(ending.groups, state, shape.kind), id, record, owner)
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
  for first = 1, ending.later and group.number or 0, CHUNK do
    redis.call('RPUSH', tag .. 'relist', table.concat(group.ids, '', first, math.min(first + CHUNK - 1, group.number)))
  end
  tell(group.state, ids, table.concat(group.lates, ' '))
end

-- The one way into a final state: life, record, lists, counts, what is to be forgotten, and events in one step, of 1,000
-- tokens or so at most: `unpack` has its bounds.  It begins by taking something away, which a full store allows.
local function write()
  local tag, groups = ending.tag, ending.groups
  if not tag then return end
  if not ending.later then lists.leave(tag, groups, 'active') end
  lists.count(tag, groups, -1, 'active')
  lists.count(tag, groups, 1)
  if not ending.later then lists.enter(tag, groups) end
  for _, life in ipairs(over) do ending.lives[#ending.lives + 1] = life end
  over = {}
  if #ending.lives > 0 then redis.call('DEL', unpack(ending.lives)) end
  for _, kinds in pairs(groups) do
    for _, group in pairs(kinds) do
      if not ending.later then redis.call('ZREM', tag .. 'due', unpack(group.rests)) end
      write_group(tag, group)
    end
  end
  begin()
end

-- Final tokens of a partition by their ids: in groups, and the keys of their records.
local function final(ids)
  local groups, records = {}, {}
  for i, record in ipairs(read(ids)) do
    if record and byte(record) ~= A then
      local shape, owner = shown(record)
      add(group_of(groups, state_of(record), shape.kind), ids[i], standing(record, owner))
      records[#records + 1] = key('t', ids[i])
    end
  end
  return groups, records
end

-- Moves final tokens from the lists of active ones to those of their states.  To do so twice changes nothing.
local function relist(tag, ids)
  local groups = final(ids)
  lists.leave(tag, groups, 'active')
  lists.enter(tag, groups)
  lists.count(tag, groups, 0, 'active')
end

-- Forgets final tokens, and gives how many there were.
local function purge(tag, ids)
  local groups, records = final(ids)
  if #records == 0 then return 0 end
  lists.leave(tag, groups)
  lists.count(tag, groups, -1)
  redis.call('DEL', unpack(records))
  return #records
end

return { shown = shown, read = read, begin = begin, lapse = lapse, finish = finish, write = write, relist = relist,
  purge = purge }
