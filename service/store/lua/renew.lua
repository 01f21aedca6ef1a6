-- renew: put one token back to full life on request; conditional on life, so it never brings one back.
--
-- KEYS  the partition's due
-- ARGV  .. .. id tenant ('*': any)
-- gives 'ok' or the word that forbids it; remaining; record

local tokens = load_tokens()
local token, word, record = tokens.active(ARGV[3], ARGV[4])
if not token then return { word, 0, record } end

if token.remaining ~= -1 and token.life ~= '-' then tokens.set_deadline(token, full_life(token.life, token.ceiling)) end
redis.call('SET', key('t', token.id), tokens.render(token))
event('renewed', token.id, token.record)
return { 'ok', token.remaining, token.record }
