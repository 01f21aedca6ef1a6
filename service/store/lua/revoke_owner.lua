-- revoke_owner: end the active tokens of one owner, a bounded number a call.
--
-- KEYS  the partition's due
-- ARGV  .. .. tenant owner type ('': all) reason limit dry ('1': only count) tag kept kept ...   kept: ids to spare
-- gives how many were (or would be) revoked, and 1 when there may be more

local tenant, owner, only, reason, limit, tag = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[9]
local dry = ARGV[8] == '1'
local kept = {}
for i = 10, #ARGV do kept[ARGV[i]] = true end

local revoked, more = 0, 0

-- Reads past the spared ones, never past the limit: spared ids are few (the caller bounds them).
local function of_kind(kind)
  local ids, most = {}, limit + #ARGV - 9
  local from, to = places(owner, 0, LAST)
  local found = redis.call('ZRANGEBYLEX', tag .. 'o:' .. tenant .. ':' .. kind .. ':active', from, to, 'LIMIT', 0, most + 1)
  if #found > most then more = 1 end
  for _, place in ipairs(found) do
    local id = string.match(place, '%w+$')
    if not kept[id] then ids[#ids + 1] = id end
  end
  return ids
end

-- One whose life is gone ends too, as what it is, and is no part of what was asked for.
local function end_all(ids)
  local records = read(ids)
  for i, id in ipairs(ids) do
    if revoked == limit then
      more = 1
      break
    end
    local left = records[i] and remaining(id)
    if left then revoked = revoked + 1 end
    if records[i] and not dry then
      if left then finish(id, records[i], 'revoked', whole(now), reason) else finish(id, records[i]) end
    end
  end
  write_ends()
end

for _, field in ipairs(redis.call('HKEYS', tag .. 'n:' .. tenant)) do
  local kind = string.match(field, '^(.*):active$')
  if kind and (only == '' or only == kind) then end_all(of_kind(kind)) end
end
return { revoked, more }
