// redis-sessions on Node's http: `get` reads the session and renews it, in a MULTI of its own.
import { randomUUID } from "node:crypto";
import module from "redis-sessions";
import { serve } from "./http.mjs";
import { LIFE_S, database, socket } from "./settings.mjs";

const Sessions = module.default ?? module;
const sessions = new Sessions({ options: { socket: { path: socket }, database: Number(database) } });
const app = "bench";

async function login() {
  const { token } = await sessions.create({ app, id: randomUUID(), ip: "203.0.113.77", ttl: LIFE_S });
  return [200, { "Set-Cookie": `token=${token}` }, {}];
}

async function session(request) {
  const token = request.headers.cookie?.slice("token=".length);
  const { id } = token ? await sessions.get({ app, token }) : {};
  return [id ? 200 : 401, {}, { user: id }];
}

serve(login, session);
