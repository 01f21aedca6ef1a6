-- revoke: end tokens now.  A final one stays as it is; one whose life ran out is marked so first.
--
-- KEYS  a partition's due (on a cluster: of the one partition that all ids share)
-- ARGV  .. .. tenant ('*': any) reason id id ...
-- gives for each: 'ok' or 'unknown'; 0; record

local flat = {}
for i = 5, #ARGV do
  local id = ARGV[i]
  local record = redis.call('GET', key('t', id))
  local token = record and brief(id, record, remaining(id))
  if not token or (ARGV[3] ~= '*' and ARGV[3] ~= string.match(token.shape.kind, '^%S+')) then
    flat[#flat + 1], flat[#flat + 2], flat[#flat + 3] = 'unknown', 0, ''
  else
    if token.state == 'active' then
      if token.remaining then ending(token, 'revoked', whole(now), ARGV[4]) else lapse(token) end
      finish_all({ token })
    end
    flat[#flat + 1], flat[#flat + 2], flat[#flat + 3] = 'ok', 0, token.record
  end
end
return flat
