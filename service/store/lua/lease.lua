-- lease: an instance says that it lives, and gets its share of the partitions to sweep.
-- Who has not said so for a term is forgotten, and its partitions are free.  Nothing but work depends on it.
--
-- KEYS  the leases: '@<instance>' -> until when it lives (ms), '<partition>' -> whose it is
-- ARGV  .. .. instance partitions term_ms (0: it leaves)
-- gives the partitions that are its own

local leases, me, partitions, term = KEYS[1], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local owner, living, number = {}, {}, 0

redis.call('HSET', leases, '@' .. me, whole(now + term))
local found = redis.call('HGETALL', leases)
for i = 1, #found, 2 do
  local instance = string.match(found[i], '^@(.*)')
  if not instance then
    owner[found[i]] = found[i + 1]
  elseif tonumber(found[i + 1]) > now then
    living[instance], number = true, number + 1
  else
    redis.call('HDEL', leases, found[i])
  end
end

local fair = math.ceil(partitions / math.max(number, 1))
local mine, free = {}, {}
for partition = 0, partitions - 1 do
  local name = whole(partition)
  if owner[name] == me then
    if living[me] and #mine < fair then mine[#mine + 1] = name else redis.call('HDEL', leases, name) end
  elseif not living[owner[name]] then
    free[#free + 1] = name
  end
end
for _, name in ipairs(free) do
  if living[me] and #mine < fair then
    redis.call('HSET', leases, name, me)
    mine[#mine + 1] = name
  end
end
redis.call('PEXPIRE', leases, whole(term + 60000)) -- where nobody sweeps any more
return mine
