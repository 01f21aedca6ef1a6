-- amend: change the policy and the words of an active token, if they are still what the caller saw.
--
-- KEYS  the partition's due
-- ARGV  .. .. id seen_life seen_scopes seen_body life scopes body
-- gives 'ok', 'changed' (somebody else was first) or the word that forbids it; remaining; record

local tokens = load_tokens()
local token, word, record = tokens.active(ARGV[3], '*')
if not token then return { word, 0, record } end
if token.life ~= ARGV[4] or token.scopes ~= ARGV[5] or token.body ~= ARGV[6] then
  return { 'changed', token.remaining, token.record }
end

token.life, token.scopes, token.body = ARGV[7], ARGV[8], ARGV[9]
local longest = full_life(token.life, token.ceiling)
if longest ~= 0 and (token.remaining == -1 or longest < token.deadline) then
  -- Remaining life never exceeds the full life; and due may lag behind a deadline, never run ahead of it.
  tokens.set_deadline(token, longest)
  redis.call('ZADD', tag_of(token.id) .. 'due', whole(longest), rest_of(token.id))
end
redis.call('SET', key('t', token.id), tokens.render(token))
return { 'ok', token.remaining, token.record }
