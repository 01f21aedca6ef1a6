-- rotate: a successor takes over; the old text works on for the overlap, then counts as revoked.
-- A second rotation of the same text answers the successor of the first.
--
-- KEYS  the partition's due
-- ARGV  .. .. old_id tenant ('*': any) overlap new_id body sealed
-- gives 'ok' or the word that forbids it; remaining; record (of the successor); its id; its sealed text

local tokens = load_tokens()
local old, word, record = tokens.active(ARGV[3], ARGV[4])
if not old then return { word, 0, record, '', '' } end

local successor, sealed = string.match(old.rotation, '^\n(%S+) (%S+)$')
if successor then
  return { 'ok', remaining(successor) or 0, redis.call('GET', key('t', successor)) or '', successor, sealed }
end

local new = { id = ARGV[6], tenant = old.tenant, owner = old.owner, type = old.type, life = old.life,
  ceiling = old.ceiling, most = old.most, flags = old.flags, scopes = old.scopes, body = ARGV[7], uses = old.uses }
tokens.create(new)

old.rotation = '\n' .. ARGV[6] .. ' ' .. ARGV[8]
old.flags = (old.flags == '-' and '' or old.flags) .. 'o'
local over_at = now + ARGV[5]
if old.deadline ~= 0 and old.deadline < over_at then over_at = old.deadline end
old.ceiling = whole(over_at)
if over_at <= now then
  local ends = load_ends()
  event('rotated', old.id, tokens.render(old))
  ends.finish(old.id, old.record, 'revoked', whole(now), 'rotated')
  ends.write()
else
  tokens.set_deadline(old, over_at)
  redis.call('SET', key('t', old.id), tokens.render(old))
  redis.call('ZADD', tag_of(old.id) .. 'due', whole(over_at), rest_of(old.id))
  event('rotated', old.id, old.record)
end
return { 'ok', new.remaining, new.record, new.id, ARGV[8] }
