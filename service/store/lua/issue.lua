-- issue: write a new token.  Run twice with one id, it answers the token of the first run.
--
-- KEYS  the partition's due
-- ARGV  .. .. id tenant owner type life ceiling most flags scopes body
-- gives 'ok', or 'ceiling' (already past), 'types' (too many for this tenant); remaining; record

local TYPES = 64 -- types x states a tenant may have in a partition: what bounds the cost of a list

local id, tenant, owner, kind, life, ceiling = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]

local record = redis.call('GET', key('t', id))
if record then return { 'ok', remaining(id) or 0, record } end

if ceiling ~= '-' and tonumber(ceiling) < MOMENT then ceiling = whole(now + ceiling) end
if ceiling ~= '-' and tonumber(ceiling) <= now then return { 'ceiling', 0, '' } end

local counts = tag_of(id) .. 'n:' .. tenant
if redis.call('HLEN', counts) >= TYPES and redis.call('HEXISTS', counts, kind .. ':active') == 0 then
  return { 'types', 0, '' }
end

local token = { id = id, tenant = tenant, owner = owner, type = kind, life = life, ceiling = ceiling,
  most = ARGV[9], flags = ARGV[10], scopes = ARGV[11], body = ARGV[12], uses = 0 }
load_tokens().create(token)
return { 'ok', token.remaining, token.record }
