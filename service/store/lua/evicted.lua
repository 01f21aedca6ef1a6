-- evicted: makes due at once each active token whose life is gone before its deadline, for a sweep to mark it.
-- Looks at a part of what is due later; the cursor tells where the next call goes on.
--
-- KEYS  the partition's due
-- ARGV  .. .. cursor count
-- gives the next cursor ('0': this was the last part), and how many it found

local found, number = redis.call('ZSCAN', KEYS[1], ARGV[3], 'COUNT', ARGV[4]), 0
for i = 1, #found[2], 2 do
  local rest, score = found[2][i], tonumber(found[2][i + 1])
  local id = id_of(KEYS[1], rest)
  if score > now and not remaining(id) then
    local record = redis.call('GET', key('t', id))
    if record and byte(record) == A then number = number + redis.call('ZADD', KEYS[1], 'CH', whole(now), rest) end
  end
end
return { found[1], number }
