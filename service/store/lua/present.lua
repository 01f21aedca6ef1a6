-- present: many tokens in one call.  'use' checks and renews, 'peek' only checks, 'look' also shows final ones.
--
-- KEYS  a partition's due (on a cluster: of the one partition that all ids share)
-- ARGV  .. .. used, then one a presentation: "verb caller grant subject count scope scope ..."
--       used: '1' emits an event per use.  caller '-': the holder alone; else its token is used first and must be of
--       type service and hold the grant, and the subject must be of its tenant.  subject '-': only the caller.
--       count: how many callers wait for this one answer
-- gives for each: word, remaining (-1: for ever), record.  word 'ok' may be followed by how many of the count
--       succeeded; a caller's refusal begins with 'caller '.  Refused presentations change nothing.

local SHORT = '^(%a+) (%d+) %d+ (%d+) %d+ (%S+) (%S+) (%S+) (%S+) %S+ %S+ (%S+) (%S+)([^\n]*)\n[^\n]*\n[^\n]*(\n?)'
local NOTHING = { record = false, remaining = 0 }
local seen, touched, answers = {}, {}, {}

-- Each token is looked up once, however often it is presented in this call.
local function lookup(id)
  local token = seen[id]
  if token then return token end
  token = { id = id, record = redis.call('GET', key('t', id)), word = 'unknown', remaining = 0, spent = 0 }
  seen[id] = token
  if not token.record then return token end
  local rotated
  token.word, token.deadline, token.uses, token.life, token.ceiling, token.most, token.flags, token.tenant, token.type,
    token.scopes, rotated = string.match(token.record, SHORT)
  if token.word == 'active' then
    local left = remaining(id)
    token.word = left and 'ok' or lapsed(rotated)
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

-- How many of these uses the token still has; they are written down at the end, once per token.
local function spend(token, count)
  if token.most ~= '-' then count = math.min(count, token.most - token.uses - token.spent) end
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
  if caller_id ~= '-' then
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
  local uses = token.uses + token.spent
  local deadline = tonumber(token.deadline)
  if string.find(token.flags, 's', 1, true) and token.remaining ~= -1 and token.life ~= '-' then
    deadline = full_life(token.life, token.ceiling)
    redis.call('PEXPIREAT', key('l', token.id), whole(deadline))
    token.remaining = deadline - now
  end
  local fresh = changing(deadline, now, uses)
  redis.call('SETRANGE', key('t', token.id), IN_PLACE, fresh)
  token.record = string.sub(token.record, 1, IN_PLACE) .. fresh .. string.sub(token.record, IN_PLACE + #fresh + 1)
  if ARGV[3] == '1' then event('used', token.id, token.record) end
  if token.most ~= '-' and uses >= tonumber(token.most) then
    local spent = parse(token.id, token.record)
    finish(spent, 'consumed', now, 'uses')
    token.record, token.remaining = spent.record, 0
  end
end

for i = 4, #ARGV do
  local word, token = answer(ARGV[i])
  answers[i - 3] = { word, token }
end
for _, token in ipairs(touched) do write(token) end

local flat = {}
for i, pair in ipairs(answers) do
  flat[3 * i - 2], flat[3 * i - 1], flat[3 * i] = pair[1], pair[2].remaining, pair[2].record or ''
end
return flat
