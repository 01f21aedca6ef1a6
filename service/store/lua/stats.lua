-- stats: what a partition holds, from kept counts.
--
-- KEYS  the partition's due
-- ARGV  .. .. tag
-- gives active, expired, revoked, consumed, due and not yet swept, events kept

local answer = {}
for i, state in ipairs({ 'active', 'expired', 'revoked', 'consumed' }) do
  answer[i] = tonumber(redis.call('HGET', ARGV[3] .. 'n', state) or 0)
end
answer[5] = redis.call('ZCOUNT', KEYS[1], '-inf', whole(now))
answer[6] = redis.call('XLEN', ARGV[3] .. 'ev')
return answer
