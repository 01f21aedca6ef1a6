-- present: many tokens in one call.  'use' checks and renews, 'peek' only checks, 'look' also shows final ones.
--
-- KEYS  a partition's due (on a cluster: of the one partition that all ids share)
-- ARGV  .. .. used presentations
--       used: '1' emits an event per use.  presentations: a line each, "verb caller grant subject count scope scope ..."
--       caller '-': the holder alone; else its token is used first and must be of type service and hold the grant,
--       and the subject must be of its tenant.  Caller '=tenant': one that was used in its own partition and acts for
--       this tenant ('*': any).  subject '-': only the caller.  count: how many wait for this answer
-- gives for each: word, remaining (-1: for ever), record.  word 'ok' may be followed by how many of the count
--       succeeded; a caller's refusal begins with 'caller '.  Refused presentations change nothing.

local REST = '^ %d+ (%S+) (%S+) (%S+) (%S+) %S+ %S+ (%S+) (%S+)([^\n]*)' -- from the sequence on
local MOST_USES = 9999999999 -- what ten digits hold; a busy caller's own token gets there in days
local NOTHING = { record = false, remaining = 0 }
local NOW = whole(now)
local seen, touched = {}, {}

-- Each token is looked up once, however often it is presented in this call.
local function lookup(id)
  local token = seen[id]
  if token then return token end
  local record = redis.call('GET', key('t', id))
  token = { id = id, record = record, word = 'unknown', remaining = 0, spent = 0 }
  seen[id] = token
  if not record then return token end
  token.word = string.match(record, '^%a+')
  token.life, token.ceiling, token.most, token.flags, token.tenant, token.type, token.scopes =
    string.match(record, REST, #token.word + CHANGING + 2)
  if token.word == 'active' then
    local left = remaining(id)
    token.word = left and 'ok' or lapsed(parse(id, record).rotation)
    token.remaining = left or 0
  end
  return token
end

local function covers(token, scope) return string.find(token.scopes .. ' ', ' ' .. scope .. ' ', 1, true) end

local function covers_all(token, scopes)
  for scope in string.gmatch(scopes, '%S+') do
    if not covers(token, scope) then return false end
  end
  return true
end

local function uses_of(token) return tonumber(string.sub(token.record, IN_PLACE + 29, IN_PLACE + CHANGING)) end

-- How many of these uses the token still has; they are written down at the end, once per token.
local function spend(token, count)
  if token.most ~= '-' then count = math.min(count, token.most - uses_of(token) - token.spent) end
  if token.spent == 0 and count > 0 then touched[#touched + 1] = token end
  token.spent = token.spent + count
  return count
end

local function authorize(caller, grant)
  if caller.word ~= 'ok' then return caller.word end
  if caller.type ~= 'service' then return 'forbidden' end
  caller.admin = covers(caller, 'admin')
  return (caller.admin or covers(caller, grant)) and 'ok' or 'forbidden'
end

local function check(verb, caller, id, count, scopes)
  local subject = lookup(id)
  if caller and subject.record and not caller.admin and caller.tenant ~= subject.tenant then
    return 'unknown', NOTHING
  end
  if verb == 'look' and subject.record then return 'ok', subject end
  if subject.word ~= 'ok' then return subject.word, subject end
  if scopes ~= '' and not covers_all(subject, scopes) then return 'forbidden', subject end
  if verb ~= 'use' then return 'ok', subject end
  local granted = spend(subject, count)
  if granted == 0 then return 'consumed', subject end
  return granted == count and 'ok' or 'ok ' .. granted, subject
end

local function answer(presentation)
  local verb, caller_id, grant, id, count, scopes = string.match(presentation, '^(%a+) (%S+) (%S+) (%S+) (%d+)(.*)$')
  local caller
  count = tonumber(count)
  local tenant = string.match(caller_id, '^=(.+)')
  if tenant then
    caller = { admin = tenant == '*', tenant = tenant }
  elseif caller_id ~= '-' then
    caller = lookup(caller_id)
    local word = authorize(caller, grant)
    if word ~= 'ok' then return 'caller ' .. word, caller end
    spend(caller, count)
  end
  if id == '-' then return 'ok', caller end
  return check(verb, caller, id, count, scopes)
end

-- One use, or many in this call, in one write: full life again, last use, uses.
local function write(token)
  local uses = math.min(uses_of(token) + token.spent, MOST_USES)
  local deadline = string.sub(token.record, IN_PLACE + 1, IN_PLACE + 13)
  if token.remaining ~= -1 and token.life ~= '-' and string.find(token.flags, 's', 1, true) then
    local renewed = full_life(token.life, token.ceiling)
    deadline = whole(renewed)
    redis.call('PEXPIREAT', key('l', token.id), deadline)
    token.remaining = renewed - now
  end
  local fresh = deadline .. ' ' .. NOW .. ' ' .. string.format('%010d', uses)
  redis.call('SETRANGE', key('t', token.id), IN_PLACE, fresh)
  token.record = string.sub(token.record, 1, IN_PLACE) .. fresh .. string.sub(token.record, IN_PLACE + CHANGING + 1)
  if ARGV[3] == '1' then event('used', token.id, token.record) end
  if token.most ~= '-' and uses >= tonumber(token.most) then
    local spent = parse(token.id, token.record)
    finish(spent, 'consumed', now, 'uses')
    token.record, token.remaining = spent.record, 0
  end
end

local words, tokens = {}, {}
for presentation in string.gmatch(ARGV[4], '[^\n]+') do
  words[#words + 1], tokens[#tokens + 1] = answer(presentation)
end
for _, token in ipairs(touched) do write(token) end

local flat = {}
for i, token in ipairs(tokens) do
  flat[3 * i - 2], flat[3 * i - 1], flat[3 * i] = words[i], token.remaining, token.record or ''
end
return flat
