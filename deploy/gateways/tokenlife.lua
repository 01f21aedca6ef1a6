-- Loaded by haproxy.cfg: `http-request lua.tokenlife VERB SCOPE` asks tokenlife whether to let a request through.
-- SCOPE is one that the token must have, or '-'.  Whatever goes wrong, the request does not pass.

local TOKENLIFE = 'http://127.0.0.1:8001/gateway/' -- the `listen tokenlife` of haproxy.cfg
local TIMEOUT_MS = 4000 -- never reached: haproxy.cfg gives up earlier
-- What may hold a token, and what tokenlife's log calls the request.
local HANDED_ON = { 'authorization', 'x-session-token', 'cookie', 'traceparent', 'x-request-id' }
local PASSED_ON = {
  'x-token-id', 'x-token-owner', 'x-token-tenant', 'x-token-scopes', 'x-token-state', 'x-token-remaining-ms',
  'x-token-expires-at-ms',
}
local SHOWN = { 'content-type', 'www-authenticate', 'x-token-reason', 'retry-after' }

-- HAProxy counts the lines of a header from 0, its client from 1.
local function lines(header)
  local found = {}
  for i = 0, #header do found[#found + 1] = header[i] end
  return found
end

local function refuse(txn, status, answer)
  local reply = txn:reply({ status = status, body = answer and answer.body })
  for _, name in ipairs(SHOWN) do
    local value = answer and answer.headers[name]
    if value then reply:add_header(name, value[0]) end
  end
  txn:done(reply)
end

core.register_action('tokenlife', { 'http-req' }, function(txn, verb, scope)
  local given, asked = txn.http:req_get_headers(), {}
  for _, name in ipairs(HANDED_ON) do
    if given[name] then asked[name] = lines(given[name]) end
  end
  if scope ~= '-' then asked['x-require-scope'] = { scope } end
  local answer = core.httpclient():get({ url = TOKENLIFE .. verb, headers = asked, timeout = TIMEOUT_MS })
  if answer.status ~= 200 then
    return refuse(txn, answer.status >= 400 and answer.status or 503, answer)
  end
  for _, name in ipairs(PASSED_ON) do
    txn.http:req_set_header(name, answer.headers[name][0])
  end
end, 2)
