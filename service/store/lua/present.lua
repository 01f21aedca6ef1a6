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

-- Written for few instructions: half of what a use costs the store was taking apart what it never looks at.

local PRESENTATION = '(%a+) (%S+) (%S+) (%S+) (%d+)([^\n]*)'
local POLICY = '^ %d+ (%S+) (%S+) (%S+) (%S+) %S+ %S+ ()' -- from the sequence on; then come tenant, type and scopes
local MOST_USES = 9999999999 -- what ten digits hold; a busy caller's own token gets there in days
local NOTHING = { record = false, remaining = 0 }
local A = string.byte('a') -- no final state begins like 'active'
local NOW = whole(now)
local seen, touched, full = {}, {}, {}

-- Each token is looked up once, however often it is presented in this call.
local function lookup(id)
  local token = seen[id]
  if token then return token end
  local tag = tag_of(id)
  local life_key, record_key = tag .. 'l:' .. id, tag .. 't:' .. id
  local record = redis.call('GET', record_key)
  local word, left, life, ceiling, most, flags, at = 'unknown', 0
  if record and string.byte(record) == A then
    word, left = 'ok', redis.call('PTTL', life_key)
    if left == -2 or left == 0 then word, left = lapsed(parse(id, record).rotation), 0 end
    life, ceiling, most, flags, at = string.match(record, POLICY, IN_PLACE + CHANGING + 1)
  elseif record then
    word = string.match(record, '^%a+')
    life, ceiling, most, flags, at = string.match(record, POLICY, #word + CHANGING + 2)
  end
  token = { id = id, life_key = life_key, record_key = record_key, record = record, word = word, remaining = left,
    life = life, ceiling = ceiling, most = most, flags = flags, at = at, spent = 0 }
  seen[id] = token
  return token
end

local function is_of(token, tenant) return string.sub(token.record, token.at, token.at + #tenant) == tenant .. ' ' end

local function covers(token, scope)
  token.scopes = token.scopes or string.match(token.record, '^%S+ %S+([^\n]*)', token.at) .. ' '
  return string.find(token.scopes, ' ' .. scope .. ' ', 1, true)
end

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
  local tenant, type = string.match(caller.record, '^(%S+) (%S+)', caller.at)
  if type ~= 'service' then return 'forbidden' end
  caller.tenant, caller.admin = tenant, covers(caller, 'admin')
  return (caller.admin or covers(caller, grant)) and 'ok' or 'forbidden'
end

local function check(verb, caller, id, count, scopes)
  local subject = lookup(id)
  if caller and subject.record and not caller.admin and not is_of(subject, caller.tenant) then
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

-- Each caller is authorized once for each grant, however many it asks about.
local authorized = {}

local function authority(id, grant)
  local known = authorized[id .. grant]
  if known then return known end
  local caller, word, tenant = nil, 'ok', string.match(id, '^=(.+)')
  if tenant then
    caller = { admin = tenant == '*', tenant = tenant }
  else
    caller = lookup(id)
    word = authorize(caller, grant)
  end
  known = { caller = caller, word = word }
  authorized[id .. grant] = known
  return known
end

local function answer(verb, caller_id, grant, id, count, scopes)
  local caller
  count = tonumber(count)
  if caller_id ~= '-' then
    local known = authority(caller_id, grant)
    caller = known.caller
    if known.word ~= 'ok' then return 'caller ' .. known.word, caller end
    if caller.id then spend(caller, count) end
  end
  if id == '-' then return 'ok', caller end
  return check(verb, caller, id, count, scopes)
end

-- The moment of a full life and its text, which tokens of one life and without a ceiling have in common.
local function renewed(token)
  local known = full[token.life]
  if token.ceiling == '-' and known then return known.moment, known.text end
  local moment = full_life(token.life, token.ceiling)
  local text = whole(moment)
  if token.ceiling == '-' then full[token.life] = { moment = moment, text = text } end
  return moment, text
end

-- One use, or many in this call, in one write: full life again, last use, uses.
local function write(token)
  local uses = math.min(uses_of(token) + token.spent, MOST_USES)
  local deadline
  if token.remaining ~= -1 and token.life ~= '-' and string.find(token.flags, 's', 1, true) then
    local moment
    moment, deadline = renewed(token)
    redis.call('PEXPIREAT', token.life_key, deadline)
    token.remaining = moment - now
  else
    deadline = string.sub(token.record, IN_PLACE + 1, IN_PLACE + 13)
  end
  local fresh = deadline .. ' ' .. NOW .. string.format(' %010d', uses)
  redis.call('SETRANGE', token.record_key, IN_PLACE, fresh)
  token.record = 'active ' .. fresh .. string.sub(token.record, IN_PLACE + CHANGING + 1)
  if ARGV[3] == '1' then event('used', token.id, token.record) end
  if token.most ~= '-' and uses >= tonumber(token.most) then
    local spent = parse(token.id, token.record)
    finish(spent, 'consumed', now, 'uses')
    token.record, token.remaining = spent.record, 0
  end
end

local words, tokens = {}, {}
for verb, caller, grant, id, count, scopes in string.gmatch(ARGV[4], PRESENTATION) do
  words[#words + 1], tokens[#tokens + 1] = answer(verb, caller, grant, id, count, scopes)
end
for _, token in ipairs(touched) do write(token) end

local flat = {}
for i, token in ipairs(tokens) do
  flat[3 * i - 2], flat[3 * i - 1], flat[3 * i] = words[i], token.remaining, token.record or ''
end
return flat
