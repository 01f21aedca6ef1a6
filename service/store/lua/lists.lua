-- The lists of tokens and the counts by state: where a token stands, and how many are taken from one to another.

local LAST = 2 ^ 53 -- no sequence number is above; all have sixteen digits

-- The tokens of all owners share a list, where those of one stand together: a list for each would cost two calls for
-- each token that ends, and its own key.  An id is found by its sequence number in the tenant's list: in both, it would
-- take 32 bytes more of each token.
local function place(owner, sequence) return owner .. '\n' .. sequence end

-- The id of a sequence number in a tenant's list, or nil: a store that evicts or was damaged may have lost it.
local function id_at(list, sequence)
  local rest = redis.call('ZRANGEBYSCORE', list, sequence, sequence)[1]
  return rest and id_of(list, rest)
end

-- From where to where those of an owner stand that have these sequence numbers, both included.
local function places(owner, first, last)
  local function bound(sequence)
    return '[' .. place(owner, string.format('%016.0f', math.max(0, math.min(sequence, LAST))))
  end
  return bound(first), bound(last)
end

-- Tokens of a partition that share a tenant and a type (their kind) and a state, as the lists take them.
local function group_of(groups, state, kind)
  local kinds = groups[state] or {}
  groups[state] = kinds
  local group = kinds[kind]
    or { state = state, kind = kind, number = 0, rests = {}, places = {}, scored = {}, unscored = {}, told = {},
      lates = {} }
  kinds[kind] = group
  return group
end

-- Without a place it is only counted, and another call takes it from one list to the other.
local function add(group, rest, sequence, place)
  local n = group.number + 1
  group.number, group.rests[n] = n, rest
  if not place then return end
  group.places[n] = place
  group.scored[2 * n - 1], group.scored[2 * n] = sequence, rest
  group.unscored[2 * n - 1], group.unscored[2 * n] = '0', place
end

-- Calls `change` for each group and what a state, or without one its own, has: the tenant's list, the list by owner,
-- the tenant's counts and the field there.
local function each(tag, groups, state, change)
  for _, kinds in pairs(groups) do
    for _, group in pairs(kinds) do
      local tenant, type = string.match(group.kind, '(%S+) (%S+)')
      local of = state or group.state
      local field = type .. ':' .. of
      local rest = tenant .. ':' .. field
      local all, by_owner, counts = tag .. 'i:' .. rest, tag .. 'o:' .. rest, tag .. 'n:' .. tenant
      change(group, { state = of, all = all, by_owner = by_owner, counts = counts, field = field })
    end
  end
end

-- Counts groups in a state (1) or no longer (-1).  The field stays as long as its list, for pages find lists by fields;
-- a list that is left later than it is counted (0) takes it along.
local function count(tag, groups, by, state)
  each(tag, groups, state, function(group, where)
    redis.call('HINCRBY', tag .. 'n', where.state, by * group.number)
    local left = redis.call('HINCRBY', where.counts, where.field, by * group.number)
    if left == 0 and redis.call('EXISTS', where.all) == 0 then redis.call('HDEL', where.counts, where.field) end
  end)
end

local function enter(tag, groups, state)
  each(tag, groups, state, function(group, where)
    redis.call('ZADD', where.all, unpack(group.scored))
    redis.call('ZADD', where.by_owner, unpack(group.unscored))
  end)
end

local function leave(tag, groups, state)
  each(tag, groups, state, function(group, where)
    redis.call('ZREM', where.all, unpack(group.rests))
    redis.call('ZREM', where.by_owner, unpack(group.places))
  end)
end

return { LAST = LAST, place = place, places = places, id_at = id_at, group_of = group_of, add = add, count = count,
  enter = enter, leave = leave }
