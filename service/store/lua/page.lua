-- page: the ids of one page of a list, in creation order.  A list is kept per type and state, so a page merges a
-- bounded number of them, whatever the number of tokens.
--
-- KEYS  the partition's due
-- ARGV  .. .. tag tenant owner ('': all) type ('': all) states (' active expired ', '': all) first last limit order
--       first and last: sequence numbers, both included; order: 'asc' or 'desc'
-- gives sequence, id, sequence, id, ...

local lists = load_lists()
local tag, tenant, owner, only_type, states = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local first, last, limit, descending = ARGV[8], ARGV[9], tonumber(ARGV[10]), ARGV[11] == 'desc'

local found = {} -- rows: sequence number and id; of an owner's, the list that has the id

-- Stands for an id that was lost: a token that nobody knows.  Its row counts, so that a page goes on behind it.
local NOBODY = id_of(tag, string.rep('0', ID - 2))

local function of_all(list)
  local rows
  if descending then
    rows = redis.call('ZREVRANGEBYSCORE', list, last, first, 'WITHSCORES', 'LIMIT', 0, limit)
  else
    rows = redis.call('ZRANGEBYSCORE', list, first, last, 'WITHSCORES', 'LIMIT', 0, limit)
  end
  for i = 1, #rows, 2 do found[#found + 1] = { tonumber(rows[i + 1]), id_of(tag, rows[i]) } end
end

local function of_one(list, all)
  local from, to = lists.places(owner, tonumber(first), tonumber(last))
  local rows
  if descending then
    rows = redis.call('ZREVRANGEBYLEX', list, to, from, 'LIMIT', 0, limit)
  else
    rows = redis.call('ZRANGEBYLEX', list, from, to, 'LIMIT', 0, limit)
  end
  for _, place in ipairs(rows) do found[#found + 1] = { tonumber(sub(place, -16)), nil, all } end
end

for _, field in ipairs(redis.call('HKEYS', tag .. 'n:' .. tenant)) do
  local kind, state = string.match(field, '^(.*):(%a+)$')
  if (only_type == '' or only_type == kind) and (states == '' or string.find(states, ' ' .. state .. ' ', 1, true)) then
    local rest = tenant .. ':' .. kind .. ':' .. state
    if owner == '' then of_all(tag .. 'i:' .. rest) else of_one(tag .. 'o:' .. rest, tag .. 'i:' .. rest) end
  end
end
table.sort(found, function(a, b)
  if descending then return a[1] > b[1] end
  return a[1] < b[1]
end)

local answer = {}
for i = 1, math.min(limit, #found) do
  local sequence, id, list = whole(found[i][1]), found[i][2], found[i][3]
  answer[2 * i - 1], answer[2 * i] = sequence, id or lists.id_at(list, sequence) or NOBODY
end
return answer
