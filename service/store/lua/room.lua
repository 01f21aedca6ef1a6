-- On a store that does not say that it knows `allow-oom` (Redis 6.2) this stands in front of each script but issue.
-- When it is full, it refuses what needs room as the first write of a script, and only as the first; so the first one
-- takes away what is not there.  A store that takes no writes at all may say so to those that follow, if any do.
redis.pcall('DEL', 'tl:{' .. (string.match(KEYS[1], '{(.-)}') or KEYS[1]) .. '}:none')
