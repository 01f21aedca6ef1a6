// The server of the rivals that bring none: `login` and `session` answer [status, headers, body].
import { createServer } from "node:http";
import { port } from "./settings.mjs";

export function serve(login, session) {
  createServer(async (request, response) => {
    const [status, headers, body] = await (request.url === "/login" ? login() : session(request));
    const payload = JSON.stringify(body);
    const length = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(payload) };
    response.writeHead(status, { ...length, ...headers }).end(payload);
  }).listen(Number(port), "127.0.0.1");
}
