-- The lists of tokens and the counts by state: where a token stands, and how many are taken from one to another.

local LAST = 2 ^ 53 -- no sequence number is above; all have sixteen digits

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

return { LAST = LAST, place = place, places = places, id_at = id_at, group_of = group_of, add = add, relist = relist }
