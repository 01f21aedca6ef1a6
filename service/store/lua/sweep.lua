-- sweep: one bounded pass over what is due: marks the expired, re-scores the renewed; when nothing is due any more,
-- takes the marked from the lists of active tokens to those of their states, and forgets final tokens whose retention
-- is over.  Any number of sweepers may run: each looks again at the life before it marks.
--
-- KEYS  the due of each partition to look at
-- ARGV  .. .. limit (1000 at most)
-- gives marked, rescored, relisted, purged, evicted, ms until there is something to do (-1: there is nothing), then
--       lags in ms, and behind each how many were marked so late

local ends -- made for what is due or to be forgotten: most passes find nothing
local room = tonumber(ARGV[3])
local SPREAD = 100 -- tokens that a pass moves from list to list beside as many as it marked
local marked, rescored, relisted, purged, evicted, wait = 0, 0, 0, 0, 0, -1
local lags = {}

-- When the life may end of one that is alive.  The record says it exactly; only a TTL that somebody else made longer
-- says more.
local function due_at(record, left)
  local deadline = tonumber(sub(record, IN_PLACE + 1, IN_PLACE + DIGITS))
  return whole(deadline > now and deadline or now + left)
end

-- Takes from these records those of tokens that live; gives when they may be due again, and their places.
local function renewed(tag, rests, records)
  local again = {}
  for i, rest in ipairs(rests) do
    local record = records[i]
    local left = record and byte(record) == A and remaining(id_of(tag, rest))
    if left then
      records[i], rescored = false, rescored + 1
      if left ~= -1 then again[#again + 1], again[#again + 2] = due_at(record, left), rest end
    end
  end
  return again
end

-- When the first is due, or nil.
local function first(due) return tonumber(redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]) end

local function visit(due)
  local rests = redis.call('ZRANGEBYSCORE', due, '-inf', whole(now), 'LIMIT', 0, room)
  if #rests == 0 then return end -- below, from the first to the one before it would be all
  local tag = sub(due, 1, -4)
  ends = ends or load_ends()
  ends.begin(tag, 'later')
  local records, living = ends.read(tag, rests)
  local again = living and renewed(tag, rests, records) or {}
  local ended, before = ends.lapse_each(rests, records, lags)
  marked, evicted = marked + ended, evicted + before
  -- Taken out first, which a full store allows; by rank, which looks for none of them.
  redis.call('ZREMRANGEBYRANK', due, 0, #rests - 1)
  ends.write()
  if #again > 0 then redis.call('ZADD', due, unpack(again)) end
  room = room - #rests
end

-- The places of the ids that stand in a text from there on.
local function rests_in(text, from)
  local rests = {}
  for place = from, #text, ID do rests[#rests + 1] = rest_of(sub(text, place, place + ID - 1)) end
  return rests
end

-- To write down the state of a marked token, and to move it from two lists to two others, takes longer than all the
-- rest of its end.  So what ends in a burst is marked first, and moved by the passes after it, some at a time.  Gives
-- whether the lists are as they should be.
local function relist(tag)
  while relisted < marked + SPREAD do
    local chunk = redis.call('LPOP', tag .. 'relist')
    if not chunk then return true end
    ends = ends or load_ends()
    local rests = rests_in(chunk, 1)
    ends.relist(tag, rests)
    relisted = relisted + #rests
  end
  return redis.call('EXISTS', tag .. 'relist') == 0
end

-- Those that ended together are forgotten together; gives when the next are to be, or nil.  Some may have ended by a
-- clock that was set back since: these go behind the others, as if they ended now, and hold nobody up.
local function forget(tag)
  local gone = tag .. 'gone'
  while true do
    local ended = redis.call('LINDEX', gone, 0)
    if not ended then return nil end
    local at = tonumber(sub(ended, 1, DIGITS))
    if room <= 0 or at <= now and at + RETENTION > now then return at + RETENTION end
    redis.call('LPOP', gone)
    if at > now then
      redis.call('RPUSH', gone, whole(now) .. sub(ended, DIGITS + 1))
      room = room - 1
    else
      local rests = rests_in(ended, DIGITS + 1)
      ends = ends or load_ends()
      purged = purged + ends.purge(tag, rests)
      room = room - #rests
    end
  end
end

local function until_then(at)
  local ms = at and math.max(0, at - now)
  if ms and (wait == -1 or ms < wait) then wait = ms end
end

-- What is due in one partition goes before what is to be moved or forgotten in another.
for _, due in ipairs(KEYS) do
  if room <= 0 then break end
  local next_at = first(due)
  if next_at and next_at <= now then
    visit(due)
    next_at = first(due)
  end
  until_then(next_at)
end
for _, due in ipairs(KEYS) do
  if room <= 0 then -- the next pass begins with another
    wait = 0
    break
  end
  local tag = sub(due, 1, -4)
  if relist(tag) then until_then(forget(tag)) else wait = 0 end
end

local answer = { marked, rescored, relisted, purged, evicted, wait }
for lag, number in pairs(lags) do answer[#answer + 1], answer[#answer + 2] = lag, number end
return answer
