"""The scripts: `lua/<verb>.lua` behind the shared prelude, each named by its verb."""

import re
from collections.abc import Awaitable
from functools import cache
from hashlib import sha1
from importlib.resources import files
from itertools import product
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, OutOfMemoryError, ReadOnlyError

from service.core.errors import Unavailable
from service.store.lane import GivenUp, Lane, never

VERBS = (
    "issue", "present", "renew", "revoke", "revoke_owner", "rotate", "amend", "sweep", "page", "count", "stats",
    "pace", "evicted", "lease",
)  # fmt: skip

PARTS = ("lists", "tokens", "ends")  # a later one may ask for those before it

# Redis 7 and later: without it a full store would fail a use that renews nothing.  Issuing stays refused.
ALLOW_OOM = "#!lua flags=allow-oom\n"

# Before Redis 7 what a command in a script was refused with comes behind words of the script's.
INSIDE = re.compile(r"@user_script: ?\d+: -(OOM|READONLY) (.*)", re.DOTALL)
REFUSED = {"OOM": OutOfMemoryError, "READONLY": ReadOnlyError}


@cache
def lua(name: str) -> str:
    return (files("service.store") / "lua" / f"{name}.lua").read_text()


@cache
def prelude() -> str:
    """What every script stands on, and the parts that some do: each a function that gives what is in it.

    What a script does not ask for is not made: all functions, made at each call, cost a lone use a quarter more
    instructions.
    """
    return lua("prelude") + "".join(f"\nlocal function load_{part}()\n{lua(part)}\nend\n" for part in PARTS)


# Changes nothing, and is a write nevertheless.
WRITE = "redis.call('HINCRBY', string.match(KEYS[1], '^tl:{%x+}:') .. 'n', 'sequence', 0)\n"


@cache
def source(verb: str, *, writes: bool = False) -> str:
    """A script ends wherever it likes; around it, its answer always has what it changed beside it.

    writes: whether it writes in any case.
    """
    last = f"local answer = verb()\n{WRITE if writes else ''}return {{ answer, made }}\n"
    return f"{prelude()}\nlocal function verb()\n{lua(verb)}\nend\n{last}"


def told(error: Exception) -> Exception:
    """The same, or what Redis 7 says instead."""
    found = INSIDE.search(str(error))
    return REFUSED[found[1]](found[2]) if found else error


class Scripts:
    """Runs a verb with the two values that every script takes first: retention (ms) and events kept.

    Nothing runs before `say_allow_oom`, so that no request touches a store that nobody has looked at yet.
    """

    def __init__(self, retention_ms: int, events_kept: int, *, many: bool = False) -> None:
        """many: they run on a cluster."""
        self.events_kept, self._guard = events_kept, lua("guard") if many else ""
        self._common = [retention_ms, events_kept]
        self._scripts: dict[tuple[str, bool], tuple[str, str]] = {}  # text, and the digest that the store knows it by

    @property
    def ready(self) -> bool:
        return bool(self._scripts)

    def say_allow_oom(self, *, allowed: bool) -> None:
        """Whether the store understands that a script may run when it is full (Redis 7 and later)."""
        first, behind = (ALLOW_OOM, "") if allowed else ("", lua("room"))
        for verb, writes in product(VERBS, (False, True)):
            head = self._guard if verb == "issue" else first + self._guard + behind
            text = head + source(verb, writes=writes)
            self._scripts[verb, writes] = text, sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, redis: Redis, verb: str, key: str | list[str], *args: Any) -> Any:
        """The script's answer, and its transitions, three words for each kind: see `made` in the prelude.

        NOSCRIPT (a restart, a failover, SCRIPT FLUSH) ran nothing, so the script is sent whole: to load it and call it
        again could find it flushed once more.
        """
        keys = [key] if isinstance(key, str) else key
        (script, digest), words = self._script(verb), [*keys, *self._common, *args]
        try:
            return await redis.evalsha(digest, len(keys), *words)
        except NoScriptError:
            return await redis.eval(script, len(keys), *words)

    async def kept(self, redis: Redis, copies: int, wait_ms: int, verb: str, key: str, *args: Any) -> tuple[Any, int]:
        """The same, and how many replicas had it after so long at most.

        On one connection, for WAIT asks about what that has written last; and it writes something in any case, so that
        a repeat, which changes nothing, is not acknowledged before the first is.
        """
        pipeline = redis.pipeline(transaction=False)
        # Whole: if it had to be repeated after NOSCRIPT, WAIT would have waited twice.
        pipeline.eval(self._script(verb, writes=True)[0], 1, key, *self._common, *args)
        pipeline.execute_command("WAIT", copies, wait_ms)
        answer, have = await pipeline.execute(raise_on_error=False)
        for one in (answer, have):
            if isinstance(one, Exception):
                raise one
        return answer, have

    def in_lane(
        self, lane: Lane, verb: str, key: str | list[str], *args: Any, given_up: GivenUp = never
    ) -> "Awaitable[Any]":
        """The same on a connection of its own, written before anything else runs."""
        keys = [key] if isinstance(key, str) else key
        script, digest = self._script(verb)
        words = (len(keys), *keys, *self._common, *args)
        first = lane.call("EVALSHA", digest, *words, given_up=given_up)

        async def answer() -> Any:
            try:
                return await first
            except NoScriptError:
                return await lane.call("EVAL", script, *words, given_up=given_up)

        return answer()

    def _script(self, verb: str, *, writes: bool = False) -> tuple[str, str]:
        if not self.ready:
            raise Unavailable("starting")
        return self._scripts[verb, writes]
