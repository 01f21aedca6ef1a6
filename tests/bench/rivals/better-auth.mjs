// better-auth on Node's http: users in its memory adapter, sessions in Redis as its secondary storage.
// `updateAge: 0` renews at every look; its cookie cache stays off, since it would not ask Redis.
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { fromNodeHeaders } from "better-auth/node";
import { anonymous } from "better-auth/plugins";
import { serve } from "./http.mjs";
import { LIFE_S, SECRET, connected, port } from "./settings.mjs";

const redis = await connected();
const auth = betterAuth({
  baseURL: `http://127.0.0.1:${port}`,
  secret: SECRET,
  database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
  secondaryStorage: {
    get: (key) => redis.get(key),
    set: async (key, value, ttl) => void (await redis.set(key, value, ttl ? { EX: ttl } : {})),
    delete: async (key) => void (await redis.del(key)),
  },
  session: { expiresIn: LIFE_S, updateAge: 0 },
  rateLimit: { enabled: false },
  plugins: [anonymous()], // a session without a password, whose hashing would take minutes for 10,000
});

async function login() {
  const answer = await auth.api.signInAnonymous({ asResponse: true });
  return [200, { "Set-Cookie": answer.headers.getSetCookie() }, {}];
}

async function session(request) {
  const found = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) });
  return [found ? 200 : 401, {}, { user: found?.user.id }];
}

serve(login, session);
