-- present: use or peek at many tokens, in one call.  'use' checks and renews, 'peek' only checks, 'look' also shows
-- final ones, 'ask' is about the caller alone.
--
-- KEYS  a partition's due (on a cluster: of the one partition that all ids share)
-- ARGV  .. .. used group group ...
--       used: '1' emits an event per use.  A group is three arguments, of presentations that differ only in whom they
--       are about:
--       head: "verb caller grant scope scope ...".  caller '-': the holder alone; else its token is used first and must
--         be of type service and hold the grant, and the subjects must be of its tenant.  Caller '=tenant': one that
--         was used in its own partition and acts for this tenant ('*': any)
--       ids: those of the subjects, each once, one behind the other; for 'ask' none
--       counts: how many wait for each answer, "1 3 1 "; '': one for each
-- gives for each: word, remaining (-1: for ever), record.  word 'ok' may be followed by how many of the count
--       succeeded; a caller's refusal begins with 'caller '.  Refused presentations change nothing.
--       A word that begins with a digit is 'ok' too: it is what the use wrote over the record, which is given as found.

-- Written for few instructions, 27,800 a use: half of what it costs the store is Lua's own.  So what tokens share is
-- taken apart once; what they do not is read at fixed places; long strings, each of which Lua hashes whole, are few;
-- and the usual case, written out at the end, asks nothing that its writes answer.

local match, format, call = string.match, string.format, redis.call
local WORDS = '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+)(.*)\n$' -- of a policy
local MOST_USES = 9999999999 -- what ten digits hold; a busy caller's own token gets there in days
local ANY = '*'
local PLACE = whole(IN_PLACE)
local DUE, DUE_END = IN_PLACE + 1, IN_PLACE + DIGITS -- the deadline in a record
local USES, USES_END = IN_PLACE + 29, IN_PLACE + CHANGING -- and the count of its uses

-- What a record says behind the count of its uses, which many tokens have in common, and the life that it gives now.
local policies = {}
local last_policy = { line = '\n' }

local function taken_apart(line)
  local policy = { line = line }
  policy.life, policy.ceiling, policy.most, policy.flags, policy.tenant, policy.type, policy.scopes = match(line, WORDS)
  policy.slides = policy.life ~= '-' and find(policy.flags, 's', 1, true) ~= nil
  -- With the moment they are reckoned from: the clock may go on while the script runs (see `remaining`).
  local moment = full_life(policy.life, policy.ceiling)
  policy.now, policy.deadline, policy.left = whole(now), whole(moment), moment - now
  policy.fresh = policy.deadline .. ' ' .. policy.now .. ' ' -- what a use that renews writes, but for the count
  policies[line] = policy
  return policy
end

local function policy_of(record)
  if find(record, last_policy.line, POLICY, true) ~= POLICY then
    local line = sub(record, POLICY, find(record, '\n', POLICY, true))
    last_policy = policies[line] or taken_apart(line)
  end
  return last_policy
end

local function covers(policy, scopes)
  if scopes == '' then return true end
  local held = policy.scopes .. ' '
  for scope in string.gmatch(scopes, '%S+') do
    if not find(held, ' ' .. scope .. ' ', 1, true) then return false end
  end
  return true
end

-- Nine times of ten one more use changes the last digit of their number alone: by its byte, the digit behind it.
local UP = {
  [48] = '1', [49] = '2', [50] = '3', [51] = '4', [52] = '5', [53] = '6', [54] = '7', [55] = '8', [56] = '9',
}

-- How many uses it is with so many more, in digits.
local function counted(record, more) return format('%010d', math.min(sub(record, USES, USES_END) + more, MOST_USES)) end

-- Writes down so many uses of an active token, and a deadline, in place; gives its record as it is then.
local function written(id, record_key, record, policy, deadline, count)
  local fresh = deadline .. ' ' .. policy.now .. ' ' .. counted(record, count)
  call('SETRANGE', record_key, PLACE, fresh)
  record = 'a ' .. fresh .. sub(record, IN_PLACE + CHANGING + 1)
  if ARGV[3] == '1' then event('used', id, record) end
  return record
end

-- The use of a token that lives so long: of those that renew nothing, or that only so many uses may be made of.
local function spent(id, life_key, record_key, record, policy, left, count)
  local granted, most = count, nil
  if policy.most ~= '-' then
    most = policy.most - sub(record, USES, USES_END)
    granted = math.min(count, most)
    if granted <= 0 then return 'consumed', left, record end
  end
  local deadline = sub(record, DUE, DUE_END)
  if policy.slides and left ~= -1 then
    deadline, left = policy.deadline, policy.left
    call('PEXPIREAT', life_key, deadline)
  end
  record = written(id, record_key, record, policy, deadline, granted)
  if granted == most then
    local ends = load_ends() -- made only here: every other use does without
    ends.finish(id, record, 'consumed', whole(now), 'uses')
    ends.write()
    record, left = call('GET', record_key), 0
  end
  return granted == count and 'ok' or 'ok ' .. granted, left, record
end

local function checked(verb, tenant, scopes, count, id, life_key, record_key, record)
  if not record then return 'unknown', 0, '' end
  if byte(record) ~= A then
    if tenant ~= ANY and policy_of(record).tenant ~= tenant then return 'unknown', 0, '' end
    return verb == 'look' and 'ok' or state_of(record), 0, record
  end
  local policy = policy_of(record)
  if tenant ~= ANY and policy.tenant ~= tenant then return 'unknown', 0, '' end
  local allowed = covers(policy, scopes)
  local left = remaining(id)
  if verb == 'look' then return 'ok', left or 0, record end
  if not left then return lapsed(policy.flags), 0, record end
  if not allowed then return 'forbidden', left, record end
  if verb ~= 'use' then return 'ok', left, record end
  return spent(id, life_key, record_key, record, policy, left, count)
end

local flat, last = {}, 0

local function answer(word, left, record)
  flat[last + 1], flat[last + 2], flat[last + 3] = word, left, record
  last = last + 3
end

-- The tenant that a caller acts for, and its own answer; without a tenant it may not ask.  No token of type service has
-- a use count (`Rules.settle`): so many uses of it are all made or none.
local function authority(caller, grant, count)
  if caller == '-' then return ANY end
  if byte(caller) == byte('=') then return sub(caller, 2) end
  local record_key = key('t', caller)
  local word, left, record = checked('peek', ANY, '', 0, caller, key('l', caller), record_key, call('GET', record_key))
  if word ~= 'ok' then return nil, word, left, record end
  local policy = policy_of(record)
  local admin = covers(policy, 'admin')
  if policy.type ~= 'service' or not (admin or covers(policy, grant)) then return nil, 'forbidden', left, record end
  word, left, record = checked('use', ANY, '', count, caller, key('l', caller), record_key, record)
  return word == 'ok' and (admin and ANY or policy.tenant), word, left, record
end

local lives_of, records_of = {}, {} -- how the keys of a partition begin

local function keys_of(ids)
  local each, lives, records, n = {}, {}, {}, 0
  for at = 1, #ids, ID do
    local two, id = sub(ids, at, at + 1), sub(ids, at, at + ID - 1)
    if not lives_of[two] then
      local tag = tag_of(id)
      lives_of[two], records_of[two] = tag .. 'l:', tag .. 't:'
    end
    n = n + 1
    each[n], lives[n], records[n] = id, lives_of[two] .. id, records_of[two] .. id
  end
  return each, lives, records
end

local function waiting(counts, number)
  local each, total = {}, 0
  for count in string.gmatch(counts, '%d+') do
    each[#each + 1], total = tonumber(count), total + count
  end
  return each, total == 0 and number or total
end

-- Whether a policy lets these presentations renew a life and do nothing else.
local function usual(policy, verb, tenant, scopes)
  return verb == 'use' and policy.slides and policy.most == '-' and ARGV[3] ~= '1'
    and (tenant == ANY or tenant == policy.tenant) and covers(policy, scopes)
end

local function present(verb, tenant, scopes, each, subjects, lives, records)
  local found, known, policy = call('MGET', unpack(records)), {}, last_policy
  for i = 1, #subjects do
    local record, count, plain = found[i], each[i] or 1, false
    if record and byte(record) == A then
      if find(record, policy.line, POLICY, true) ~= POLICY then policy = policy_of(record) end
      plain = known[policy]
      if plain == nil then
        plain = usual(policy, verb, tenant, scopes)
        known[policy] = plain
      end
    end
    -- What renews a life also says whether there is one; a deadline that is over may have been made longer by others.
    if plain and sub(record, DUE, DUE_END) > policy.now
      and call('PEXPIREAT', lives[i], policy.deadline) == 1 then
      local fresh, up = policy.fresh, count == 1 and UP[byte(record, USES_END)]
      if up then
        fresh = fresh .. sub(record, USES, USES_END - 1) .. up
      else
        fresh = fresh .. counted(record, count)
      end
      call('SETRANGE', records[i], PLACE, fresh)
      flat[last + 1], flat[last + 2], flat[last + 3] = fresh, policy.left, record
      last = last + 3
    else
      answer(checked(verb, tenant, scopes, count, subjects[i], lives[i], records[i], record))
    end
  end
end

local function group(head, ids, counts)
  local verb, caller, grant, scopes = match(head, '^(%a+) (%S+) (%S+)(.*)$')
  local each, total = waiting(counts, math.max(1, #ids / ID))
  local tenant, word, left, record = authority(caller, grant, total)
  if verb == 'ask' then return answer(tenant and 'ok' or 'caller ' .. word, left, record) end
  local subjects, lives, records = keys_of(ids)
  if tenant then return present(verb, tenant, scopes, each, subjects, lives, records) end
  for _ = 1, #subjects do answer('caller ' .. word, left, record) end
end

for i = 4, #ARGV, 3 do group(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
return flat
