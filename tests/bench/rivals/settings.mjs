// What every rival on Node is started with: `node RIVAL.mjs PORT SOCKET DATABASE`.
import { createClient } from "redis";

export const [port, socket, database] = process.argv.slice(2);
export const LIFE_S = 1800;
export const SECRET = "a-secret-of-more-than-32-characters-for-the-bench";

// node-redis sends what was asked for in one turn of its loop in one write, so one connection is its best.
export async function connected() {
  return createClient({ socket: { path: socket }, database: Number(database) }).connect();
}
