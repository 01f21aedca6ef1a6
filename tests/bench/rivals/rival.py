"""A program that `use` is held against, as a process: what it needs, and whether it does its work."""

import os
import re
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import redis

from tests.bench.load import Plan, attempt, send
from tests.bench.servers import Listener, Store
from tests.servers import ROOT

HOME = ROOT / ".venv-bench"
HERE = Path(__file__).parent
SOON_MS = 60_000  # a life cut short, which a look has to put back to its full half hour
_COOKIE = re.compile(rb"^set-cookie: ([^;\r]+)", re.IGNORECASE | re.MULTILINE)
_LOGIN = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"


class Kind(NamedTuple):
    name: str
    file: str
    database: int


KINDS = [
    Kind("express-session", "express.mjs", 2),
    Kind("@fastify/session", "fastify.mjs", 3),
    Kind("redis-sessions", "redis-sessions.mjs", 4),
    Kind("better-auth", "better-auth.mjs", 5),
    Kind("starsessions", "star.py", 6),
]


class Rival(Listener):
    """One of them as a process."""

    def __init__(self, kind: Kind, store: Store) -> None:
        self.kind, self.store = kind, store
        words = [str(store.socket), str(kind.database)]
        super().__init__(_runner(kind), *words, environment=os.environ | {"NODE_ENV": "production"})

    def sessions(self, count: int) -> list[bytes]:
        """A request for each of so many new sessions, made by logging in as often."""
        heads = send(Plan(self.port, [_LOGIN] * count, once=True)).heads
        cookies = [b"; ".join(_COOKIE.findall(head)) for head in heads]
        return [b"GET /session HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: " + cookie + b"\r\n\r\n" for cookie in cookies]

    def check(self) -> None:
        """One look finds the session and renews it in the store, and one without a cookie finds none.

        Raises SystemExit: a rival that does less than its work must not be measured.
        """
        [request] = self.sessions(1)
        with redis.Redis(unix_socket_path=str(self.store.socket), db=self.kind.database) as there:
            _cut_short(there)
            send(Plan(self.port, [request], lanes=1, once=True))
            if not _renewed(there):
                raise SystemExit(f"bench: {self.kind.name} found the session and did not renew it")
        nobody = attempt(Plan(self.port, [request.replace(b"Cookie", b"X-None")], lanes=1, once=True))
        if nobody.wrong != {401: 1}:
            raise SystemExit(f"bench: {self.kind.name} answered {nobody.wrong} to nobody's session")

    def used_bytes(self, count: int) -> float:
        """Of the store for each of so many sessions more."""
        before = self.store.used_bytes()
        self.sessions(count)
        return (self.store.used_bytes() - before) / count


def installed() -> list[Kind]:
    return [kind for kind in KINDS if _installed(kind)]


def _installed(kind: Kind) -> bool:
    if kind.file.endswith(".py"):
        return (HOME / "bin" / "python").exists()
    return (HOME / "node_modules").exists() and shutil.which("node") is not None


def _runner(kind: Kind) -> list[str]:
    """Node looks for packages from where a file lies, so its files are laid beside them."""
    if kind.file.endswith(".py"):
        return [str(HOME / "bin" / "python"), str(HERE / kind.file)]
    for file in HERE.glob("*.mjs"):
        shutil.copy(file, HOME)
    return ["node", str(HOME / kind.file)]


def _cut_short(there: redis.Redis) -> None:
    """Every life in the database: as a TTL, or as a score, which is how redis-sessions keeps its own."""
    for key in there.scan_iter():
        if there.pttl(key) > 0:
            there.pexpire(key, SOON_MS)
        elif there.type(key) == b"zset":
            there.zremrangebyscore(key, "-inf", "+inf")


def _renewed(there: redis.Redis) -> bool:
    keys = list(there.scan_iter())
    lives = [left for key in keys if (left := there.pttl(key)) > 0]
    soon = time.time() + SOON_MS / 1000
    scored = sum(there.zcount(key, soon, "+inf") for key in keys if there.type(key) == b"zset")
    return min(lives, default=0) > SOON_MS or scored > 0
