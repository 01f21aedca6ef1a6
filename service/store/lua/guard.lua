-- On a cluster this stands in front of each script.  While a slot moves to another node, some of its keys are here and
-- some are there already: a script would fail in its middle, and leave a transition half made.  What is asked for a key
-- that is nowhere then fails first.
local here = redis.pcall('EXISTS', 'tl:{' .. (string.match(KEYS[1], '{(.-)}') or KEYS[1]) .. '}:moving')
if type(here) == 'table' then return redis.error_reply('TRYAGAIN the slot is moving') end
