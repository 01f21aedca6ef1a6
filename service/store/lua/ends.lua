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

-- The records of places in a partition, and whether any of them has a life.
local function read(tag, rests)
  if #rests == 0 then return {}, false end
  local two, keys = sub(tag, 5, 6), {}
  local t, l = tag .. 't:' .. two, tag .. 'l:' .. two
  for i = 1, #rests do keys[i] = t .. rests[i] end
  local records = redis.call('MGET', unpack(keys))
  for i = 1, #rests do keys[i] = l .. rests[i] end
  return records, redis.call('EXISTS', unpack(keys)) > 0
end

-- What ends and is not written yet: active tokens of one partition, each once.
local ending

-- later: they are out of what is due, and their places in the lists are for `relist` to move
local function begin(tag, later)
  ending = { tag = tag, lives = {}, groups = {}, later = later, rewritten = {} }
  shape = { policy = '\n' }
end

begin()

-- How those of a shape end whose lives are gone and whose deadline was this: in which group, with which last line
-- (none: at the deadline), and how late (ms) that is found, less than 0 of those that were evicted before.
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

-- The verdict of a record whose life is gone, and where its owner begins.
local function judged(record)
  local shape, owner = shown(record)
  local deadline = sub(record, IN_PLACE + 1, IN_PLACE + DIGITS)
  return shape.over[deadline] or verdict_of(shape, deadline), owner
end

-- A record as it ends.
local function ended(record, state, line) return sub(state, 1, 1) .. sub(record, 2) .. (line or '') end

-- Puts one down to end, with the record that is to be written; owner: where that begins in it.
local function put(group, rest, record, owner)
  if ending.later then add(group, rest) else add(group, rest, standing(record, owner)) end
  local n, rewritten = group.number, ending.rewritten
  group.told[2 * n - 1], group.told[2 * n] = rest, record
  rewritten[#rewritten + 1], rewritten[#rewritten + 2] = rest, record
  return n
end

-- Lets those end that a sweep found due and that have no life, of these records the active ones, once `write` has
-- followed.  Gives how many, and how many of them had been evicted; lags counts them by how late (ms) they were found.
-- Of many that end together most have policy and deadline of the one before: two comparisons, and no string is made.
local function lapse_each(rests, records, lags)
  local marked, evicted, head, policy, verdict = 0, 0, '\n', '\n', nil
  for i = 1, #rests do
    local rest, record = rests[i], records[i]
    if record and (find(record, head, 1, true) ~= 1 or find(record, policy, POLICY, true) ~= POLICY) then
      verdict = byte(record) == A and judged(record)
      head, policy = verdict and sub(record, 1, IN_PLACE + DIGITS) or '\n', shape.policy
    end
    if record and verdict then
      local group, late = verdict.group, verdict.late
      if verdict.line then
        put(group, rest, ended(record, group.state, verdict.line))
        if late < 0 then evicted = evicted + 1 end
      else
        add(group, rest)
        local told, n = group.told, group.number
        told[2 * n - 1], told[2 * n] = rest, record
      end
      group.lates[group.number] = verdict.digits
      marked = marked + 1
      if late < 0 then late = 0 end
      lags[late] = (lags[late] or 0) + 1
    end
  end
  return marked, evicted
end

-- Lets an active token end that has a life still: as what, when (in digits) and by what.
local function finish(id, record, state, at, by)
  local shape, owner = shown(record)
  ending.tag = tag_of(id)
  ending.lives[#ending.lives + 1] = key('l', id)
  put(group_of(ending.groups, state, shape.kind), rest_of(id), ended(record, state, '\n= ' .. at .. ' ' .. by), owner)
end

-- What is to be forgotten and relisted of a group, and the events.
local function tell_group(tag, group)
  local two = sub(tag, 5, 6)
  local ids = two .. table.concat(group.rests, two)
  append(tag .. 'ev', group.state, group.told)
  redis.call('RPUSH', tag .. 'gone', whole(now) .. ids)
  for first = 0, ending.later and group.number - 1 or -1, CHUNK do
    redis.call('RPUSH', tag .. 'relist', sub(ids, first * ID + 1, (first + CHUNK) * ID))
  end
  tell(group.state, ids, table.concat(group.lates, ' '))
end

-- The one way into a final state: life, record, lists, counts, what is to be forgotten, and events in one step, of
-- 1,000 tokens or so at most: `unpack` has its bounds.  It begins by taking something away, which a full store allows.
local function write()
  local tag, groups, rewritten = ending.tag, ending.groups, ending.rewritten
  if not next(groups) then return end
  if not ending.later then lists.leave(tag, groups, 'active') end
  lists.count(tag, groups, -1, 'active')
  lists.count(tag, groups, 1)
  if not ending.later then lists.enter(tag, groups) end
  for _, life in ipairs(over) do ending.lives[#ending.lives + 1] = life end
  over = {}
  if #ending.lives > 0 then redis.call('DEL', unpack(ending.lives)) end
  local two = sub(tag, 5, 6)
  for i = 1, #rewritten, 2 do redis.call('SET', tag .. 't:' .. two .. rewritten[i], rewritten[i + 1]) end
  for _, kinds in pairs(groups) do
    for _, group in pairs(kinds) do
      if not ending.later then redis.call('ZREM', tag .. 'due', unpack(group.rests)) end
      tell_group(tag, group)
    end
  end
  begin()
end

-- Ended tokens of a partition by their places: in groups, and the keys of their records.  What a sweep marked at its
-- deadline is written down as expired only here.
local function final(tag, rests)
  local groups, keys = {}, {}
  local records, living = read(tag, rests)
  for i, record in ipairs(records) do
    local record_key = key('t', id_of(tag, rests[i]))
    if record and byte(record) == A and not (living and remaining(id_of(tag, rests[i]))) then
      redis.call('SETRANGE', record_key, '0', 'e') -- in digits: a number would cost a third of the call
      record = ended(record, 'expired')
    end
    if record and byte(record) ~= A then
      local shape, owner = shown(record)
      add(group_of(groups, state_of(record), shape.kind), rests[i], standing(record, owner))
      keys[#keys + 1] = record_key
    end
  end
  return groups, keys
end

-- Moves marked tokens from the lists of active ones to those of their states.  To do so twice changes nothing.
local function relist(tag, rests)
  local groups = final(tag, rests)
  lists.leave(tag, groups, 'active')
  lists.enter(tag, groups)
  lists.count(tag, groups, 0, 'active')
end

-- Lets an active token end whose life is gone, once `write` has followed.  One that is no longer due has been marked.
local function lapse(id, record)
  local tag, rest = tag_of(id), rest_of(id)
  if tonumber(sub(record, IN_PLACE + 1, IN_PLACE + DIGITS)) ~= 0 and not redis.call('ZSCORE', tag .. 'due', rest) then
    return relist(tag, { rest })
  end
  local verdict, owner = judged(record)
  local group = verdict.group
  ending.tag = tag
  group.lates[put(group, rest, ended(record, group.state, verdict.line), owner)] = verdict.digits
end

-- Forgets final tokens, and gives how many there were.
local function purge(tag, rests)
  local groups, keys = final(tag, rests)
  if #keys == 0 then return 0 end
  lists.leave(tag, groups)
  lists.count(tag, groups, -1)
  redis.call('DEL', unpack(keys))
  return #keys
end

return { shown = shown, read = read, begin = begin, lapse = lapse, lapse_each = lapse_each, finish = finish,
  write = write, relist = relist, purge = purge }
