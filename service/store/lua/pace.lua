-- pace: one of those that may come so often a second (GCRA): as many at once, then each when its turn has come.
--
-- KEYS  where its next turn is kept
-- ARGV  .. .. per_second
-- gives 0 when it may come now, which then counts; else the ms until it may

local SECOND = 1000
local ROUNDING = 0.5 -- ms; turns are kept in thousandths of a ms, and their sum must not cost the last one its place

local every = SECOND / tonumber(ARGV[3])
local turn = math.max(now, tonumber(redis.call('GET', KEYS[1]) or now)) + every
local wait = turn - now - SECOND
if wait > ROUNDING then return math.ceil(wait) end

redis.call('SET', KEYS[1], string.format('%.3f', turn), 'PX', whole(math.ceil(turn - now)))
return 0
