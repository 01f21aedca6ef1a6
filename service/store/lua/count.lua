-- count: how many tokens there are by type and state, from kept counts: never a scan of tokens.
--
-- KEYS  the partition's due
-- ARGV  .. .. tag tenant owner ('': all)
-- gives type, state, count, type, state, count, ...

local lists = load_lists()
local tag, tenant, owner = ARGV[3], ARGV[4], ARGV[5]
local answer = {}
for _, field in ipairs(redis.call('HKEYS', tag .. 'n:' .. tenant)) do
  local kind, state = string.match(field, '^(.*):(%a+)$')
  local number
  if owner == '' then
    number = tonumber(redis.call('HGET', tag .. 'n:' .. tenant, field))
  else
    number = redis.call('ZLEXCOUNT', tag .. 'o:' .. tenant .. ':' .. field, lists.places(owner, 0, lists.LAST))
  end
  if number > 0 then answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = kind, state, number end
end
return answer
