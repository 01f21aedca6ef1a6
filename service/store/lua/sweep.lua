-- sweep: one bounded pass over what is due: marks the expired, re-scores the renewed, purges the forgotten.
-- Any number of sweepers may run: each looks again at the life before it marks.
--
-- KEYS  the due of each partition to look at
-- ARGV  .. .. limit (1000 at most)
-- gives marked, rescored, purged, evicted, ms until the next thing is due (-1: nothing is), then the lag in ms of
--       each one marked expired

local room = tonumber(ARGV[3])
local marked, rescored, purged, evicted, wait = 0, 0, 0, 0, -1
local lags = {}

local function mark(tokens)
  for i = 1, #tokens do
    local late = lapse(tokens[i])
    if late < 0 then evicted = evicted + 1 end
    lags[#lags + 1] = math.max(0, late)
  end
  finish_all(tokens)
  marked = marked + #tokens
end

local function purge(tokens, due)
  if #tokens == 0 then return end
  local ids, records = {}, {}
  for i, token in ipairs(tokens) do ids[i], records[i] = token.id, key('t', token.id) end
  relist(tokens, -1)
  redis.call('DEL', unpack(records))
  redis.call('ZREM', due, unpack(ids))
  purged = purged + #tokens
end

-- The record says it exactly; only a TTL that somebody else made longer says more.
local function rescore(token, due)
  rescored = rescored + 1
  if token.remaining == -1 then return redis.call('ZREM', due, token.id) end
  local deadline = tonumber(sub(token.record, IN_PLACE + 1, IN_PLACE + 13))
  redis.call('ZADD', due, whole(deadline > now and deadline or now + token.remaining), token.id)
end

local function visit(due)
  local ids = redis.call('ZRANGEBYSCORE', due, '-inf', whole(now), 'LIMIT', 0, room)
  local over, final, alive = {}, {}, {}
  for i, token in ipairs(briefs(ids)) do
    local which = token and (token.state ~= 'active' and final or token.remaining and alive or over)
    if which then which[#which + 1] = token else redis.call('ZREM', due, ids[i]) end
  end
  mark(over)
  purge(final, due)
  for _, token in ipairs(alive) do rescore(token, due) end
  room = room - #ids
end

-- When the first thing is due, or nil.
local function first(due) return tonumber(redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]) end

for _, due in ipairs(KEYS) do
  local next_at = first(due)
  if room > 0 and next_at and next_at <= now then
    visit(due)
    next_at = first(due)
  end
  local ms = next_at and math.max(0, next_at - now)
  if ms and (wait == -1 or ms < wait) then wait = ms end
end

local answer = { marked, rescored, purged, evicted, wait }
for _, lag in ipairs(lags) do answer[#answer + 1] = lag end
return answer
