// fastify with @fastify/session, on the store of connect-redis: GET, then SET EX, since `rolling` renews.
import { randomUUID } from "node:crypto";
import cookie from "@fastify/cookie";
import session from "@fastify/session";
import { RedisStore } from "connect-redis";
import fastify from "fastify";
import { LIFE_S, SECRET, connected, port } from "./settings.mjs";

const app = fastify();
await app.register(cookie);
await app.register(session, {
  store: new RedisStore({ client: await connected() }),
  secret: SECRET,
  rolling: true,
  saveUninitialized: false,
  cookie: { maxAge: LIFE_S * 1000, secure: false },
});
app.post("/login", async (request) => {
  request.session.user = randomUUID();
  return {};
});
app.get("/session", async (request, reply) => {
  const { user } = request.session;
  return reply.code(user ? 200 : 401).send({ user });
});
await app.listen({ port: Number(port), host: "127.0.0.1" });
