-- revoke: end tokens now.  A final one stays as it is; one whose life ran out is marked so first.
--
-- KEYS  a partition's due (on a cluster: of the one partition that all ids share)
-- ARGV  .. .. tenant ('*': any) reason id id ...
-- gives for each: 'ok' or 'unknown'; 0; record

local ends = load_ends()
local tenant, reason = ARGV[3], ARGV[4]
local flat = {}

local function answer(word, record) flat[#flat + 1], flat[#flat + 2], flat[#flat + 3] = word, 0, record end

for i = 5, #ARGV do
  local id = ARGV[i]
  local record = redis.call('GET', key('t', id))
  if not record or (tenant ~= '*' and tenant ~= string.match(ends.shown(record).kind, '^%S+')) then
    answer('unknown', '')
  else
    if byte(record) == A then
      if remaining(id) then ends.finish(id, record, 'revoked', whole(now), reason) else ends.lapse(id, record) end
      ends.write()
      record = redis.call('GET', key('t', id))
    end
    answer('ok', record)
  end
end
return flat
