-- revoke_owner: end the active tokens of one owner, a bounded number a call.
--
-- KEYS  the partition's due
-- ARGV  .. .. tenant owner type ('': all) reason limit dry ('1': only count) tag kept kept ...   kept: ids to spare
-- gives how many were (or would be) revoked, and 1 when there may be more

local tenant, owner, only, reason, limit, tag = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[9]
local kept = {}
for i = 10, #ARGV do kept[ARGV[i]] = true end

local revoked, more = 0, 0

local function end_one(id)
  local alive = remaining(id)
  if alive then revoked = revoked + 1 end
  if ARGV[8] == '1' then return end
  local token = parse(id, redis.call('GET', key('t', id)))
  if alive then finish(token, 'revoked', now, reason) else mark_lapsed(token) end
end

-- Reads past the spared ones, never past the limit: spared ids are few (the caller bounds them).
local function end_all(kind)
  local list = tag .. 'o:' .. tenant .. ':' .. kind .. ':active:' .. owner
  local spared = #ARGV - 9
  local ids = redis.call('ZRANGE', list, 0, limit + spared)
  if #ids > limit + spared then more = 1 end
  for _, id in ipairs(ids) do
    if not kept[id] then
      if revoked >= limit then more = 1 return end
      end_one(id)
    end
  end
end

for _, field in ipairs(redis.call('HKEYS', tag .. 'n:' .. tenant)) do
  local kind = string.match(field, '^(.*):active$')
  if kind and (only == '' or only == kind) then end_all(kind) end
end
return { revoked, more }
