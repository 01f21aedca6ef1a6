-- sweep: one bounded pass over what is due: marks the expired, re-scores the renewed, purges the forgotten.
-- Any number of sweepers may run: each looks again at the life before it marks.
--
-- KEYS  the due of each partition to look at
-- ARGV  .. .. limit
-- gives marked, rescored, purged, evicted, ms until the next thing is due (-1: nothing is), then the lag in ms of
--       each one marked expired

local limit = tonumber(ARGV[3])
local marked, rescored, purged, evicted, wait = 0, 0, 0, 0, -1
local lags = {}

local function purge(token, due)
  redis.call('DEL', key('t', token.id))
  unlist(token, token.state)
  redis.call('ZREM', due, token.id)
  purged = purged + 1
end

local function mark(token)
  if now < token.deadline then evicted = evicted + 1 end
  lags[#lags + 1] = math.max(0, now - token.deadline)
  mark_lapsed(token)
  marked = marked + 1
end

local function visit(id, due)
  local record = redis.call('GET', key('t', id))
  if not record then return redis.call('ZREM', due, id) end
  local token = parse(id, record)
  if token.state ~= 'active' then return purge(token, due) end
  local left = remaining(id)
  if not left then return mark(token) end
  rescored = rescored + 1
  if left == -1 then return redis.call('ZREM', due, id) end
  -- The record says it exactly; only a TTL that somebody else made longer says more.
  redis.call('ZADD', due, whole(token.deadline > now and token.deadline or now + left), id)
end

for _, due in ipairs(KEYS) do
  local room = limit - marked - rescored - purged
  if room > 0 then
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', whole(now), 'LIMIT', 0, room)) do visit(id, due) end
  end
  local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
  if first[2] then
    local ms = math.max(0, tonumber(first[2]) - now)
    if wait == -1 or ms < wait then wait = ms end
  end
end

local answer = { marked, rescored, purged, evicted, wait }
for _, lag in ipairs(lags) do answer[#answer + 1] = lag end
return answer
