// openid-client (on oauth4webapi) against a running service: what each call gave, as JSON.
// node client.mjs URL SECRET TOKEN
import * as client from 'openid-client'

const [url, secret, token] = process.argv.slice(2)
const server = new URL(url)
const how = { algorithm: 'oauth2', execute: [client.allowInsecureRequests] }
const config = await client.discovery(server, 'a-shop', undefined, client.ClientSecretBasic(secret), how)

const before = await client.tokenIntrospection(config, token, { token_type_hint: 'refresh_token' })
await client.tokenRevocation(config, token)
const after = await client.tokenIntrospection(config, token)
await client.tokenRevocation(config, token)
const wrong = await client.discovery(server, 'a-shop', undefined, client.ClientSecretBasic('wrong'), how)
const refused = await client.tokenIntrospection(wrong, token).then(
  () => null,
  (error) => ({ code: error.code, status: error.status, error: error.error, challenge: error.cause?.[0]?.scheme }),
)

console.log(JSON.stringify({ issuer: config.serverMetadata().issuer, before, after, refused }))
