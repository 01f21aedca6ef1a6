-- revoke_owner: end the active tokens of one owner, a bounded number a call.
--
-- KEYS  the partition's due
-- ARGV  .. .. tenant owner type ('': all) reason limit dry ('1': only count) tag kept kept ...   kept: ids to spare
-- gives how many were (or would be) revoked, and 1 when there may be more

local lists, ends = load_lists(), load_ends()
local tenant, owner, only, reason, limit, tag = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[9]
local dry = ARGV[8] == '1'
local kept = {}
for i = 10, #ARGV do kept[ARGV[i]] = true end

local revoked, more = 0, 0

-- Reads past the spared ones, never past the limit: spared ids are few (the caller bounds them).
local function places_in(list)
  local most = limit + #ARGV - 9
  local from, to = lists.places(owner, 0, lists.LAST)
  local found = redis.call('ZRANGEBYLEX', list, from, to, 'LIMIT', 0, most + 1)
  if #found > most then more = 1 end
  return found
end

-- One whose life is gone ends too, as what it is, and is no part of what was asked for.
local function finish_one(id, record)
  local left = remaining(id)
  if left then revoked = revoked + 1 end
  if dry then return end
  if left then ends.finish(id, record, 'revoked', whole(now), reason) else ends.lapse(id, record) end
end

-- Takes out the places that no active token stands for, as the next call would read the same ones again.  final: those
-- that wait for being relisted, by the rests of their ids.  And in a store that evicts or was damaged, lost: groups of
-- those that the tenant's list and the counts still have; stray: places without an id there, or with that of a token
-- that is not of this place.
local function tidy(by_owner, final, lost, stray)
  if dry then return end
  if #final > 0 then ends.relist(tag, final) end
  lists.leave(tag, lost)
  lists.count(tag, lost, -1)
  if #stray > 0 then redis.call('ZREM', by_owner, unpack(stray)) end
end

local function lose(lost, kind, rest, place)
  lists.add(lists.group_of(lost, 'active', tenant .. ' ' .. kind), rest, sub(place, -16), place)
end

-- Whether a final one is still to be relisted; else a damaged store has it twice, and counts it twice.
local function waits(kind, rest, record)
  local list = tag .. 'i:' .. tenant .. ':' .. kind .. ':' .. state_of(record)
  return not redis.call('ZSCORE', list, rest)
end

local function end_all(kind)
  local list = tenant .. ':' .. kind .. ':active'
  local rests, standing, final, lost, stray = {}, {}, {}, {}, {}
  for _, place in ipairs(places_in(tag .. 'o:' .. list)) do
    local id = lists.id_at(tag .. 'i:' .. list, sub(place, -16))
    if id then rests[#rests + 1], standing[#standing + 1] = rest_of(id), place else stray[#stray + 1] = place end
  end
  for i, record in ipairs((ends.read(tag, rests))) do
    local rest, place = rests[i], standing[i]
    local id = id_of(tag, rest)
    if not record then
      lose(lost, kind, rest, place)
    elseif not find(record, '\n' .. place .. '\n', POLICY, true) then
      stray[#stray + 1] = place
    elseif byte(record) ~= A then
      if waits(kind, rest, record) then final[#final + 1] = rest else lose(lost, kind, rest, place) end
    elseif not kept[id] then
      if revoked == limit then
        more = 1
        break
      end
      finish_one(id, record)
    end
  end
  tidy(tag .. 'o:' .. list, final, lost, stray)
  ends.write()
end

for _, field in ipairs(redis.call('HKEYS', tag .. 'n:' .. tenant)) do
  local kind = string.match(field, '^(.*):active$')
  if kind and (only == '' or only == kind) then end_all(kind) end
end
return { revoked, more }
