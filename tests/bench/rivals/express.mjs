// express-session with connect-redis: GET, then EXPIRE, since `rolling` renews what was not changed.
import { randomUUID } from "node:crypto";
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { LIFE_S, SECRET, connected, port } from "./settings.mjs";

const app = express();
app.disable("x-powered-by").disable("etag");
app.use(
  session({
    store: new RedisStore({ client: await connected() }),
    secret: SECRET,
    resave: false,
    saveUninitialized: false,
    rolling: true,
    cookie: { maxAge: LIFE_S * 1000 },
  }),
);
app.post("/login", (request, response) => {
  request.session.user = randomUUID();
  response.json({});
});
app.get("/session", (request, response) => {
  const { user } = request.session;
  response.status(user ? 200 : 401).json({ user });
});
app.listen(Number(port), "127.0.0.1");
