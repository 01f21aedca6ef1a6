"""Clients of all kinds at work, each of their requests in the history."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiohttp
import msgspec

from tests.api.calls import ADMIN
from tests.chaos.history import FINAL, UNREACHABLE, History, Operation
from tests.races.test_traffic import Lag

USERS = 16
REST_S = 0.02  # at most, between two requests of one user
FAILED_REST_S = 0.05  # before it tries again
WAIT_S = 30.0  # a request that takes as long has no answer
OWNERS = 40
NAMES = [f"owner-{number}" for number in range(OWNERS)]
SHORT_MS, LONG_MS = (150, 1_500), 600_000
TRIES = 5  # of a request with an Idempotency-Key
RECENT = 40  # half of all that is asked is about the newest: these still have short lives to lose

MIX = {
    "issue": 8, "issue_short": 10, "issue_counted": 2, "issue_again": 2, "use": 40, "peek": 10, "renew": 8,
    "rotate": 4, "revoke": 8, "revoke_owner": 1, "ended": 12,
}  # fmt: skip


class Known(msgspec.Struct):
    """A token that somebody holds.  Its text stays here."""

    id: str
    owner: str
    text: str
    counted: bool = False

    def __repr__(self) -> str:
        return f"Known({self.id})"


class Traffic:
    """`mix`: how often each kind of request is made.  'issue_again' has an Idempotency-Key and is repeated until it is
    answered; 'ended' presents a token that has ended once more.  `via`: what the history calls the instance."""

    def __init__(
        self, url: str, history: History, dice: random.Random, mix: Mapping[str, int] | None = None, users: int = USERS,
        *, owners: Sequence[str] = NAMES, via: str = "",
    ) -> None:  # fmt: skip
        self._url, self._history, self._dice = url, history, dice
        self._mix, self._owners, self._via = dict(mix or MIX), owners, via
        self.live: list[Known] = []
        self.ended: deque[Known] = deque(maxlen=500)
        self._stopping = asyncio.Event()
        self._lag = Lag()
        self._users = [asyncio.ensure_future(self._user(number)) for number in range(users)]

    @property
    def verbs(self) -> set[str]:
        """What its requests are called in the history."""
        return {"issue" if kind.startswith("issue") else kind for kind in self._mix} - {"ended"}

    def done(self, since: float = 0.0) -> dict[str, int]:
        """How many of each verb succeeded, of those that began after this moment."""
        found = dict.fromkeys(self.verbs, 0)
        for one in reversed(self._history.operations):
            if one.ended < since:
                break
            if one.outcome == "done" and one.began >= since and one.verb in found and one.via == self._via:
                found[one.verb] += 1
        return found

    async def stop(self) -> None:
        """Raises what a user raised."""
        self._stopping.set()
        await asyncio.gather(*self._users)
        await self._lag.stop()

    async def _user(self, number: int) -> None:
        dice = random.Random(f"{self._dice.random()} {number}")
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(WAIT_S)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
            while not self._stopping.is_set():
                [kind] = dice.choices([*self._mix], [*self._mix.values()])
                operation = await self._one(http, dice, kind)
                failed = operation is not None and operation.status in (0, 503)
                await asyncio.sleep(FAILED_REST_S if failed else dice.uniform(0, REST_S))

    async def _one(self, http: aiohttp.ClientSession, dice: random.Random, kind: str) -> Operation | None:
        owner = dice.choice(self._owners)
        if kind == "revoke_owner":
            return await self._ask(http, kind, f"/v1/owners/{owner}/revoke", {}, owner)
        if kind.startswith("issue"):
            most = 3 if kind == "issue_counted" else None
            life_ms = dice.randint(*SHORT_MS) if kind == "issue_short" else LONG_MS
            body = {"owner": owner, "life_ms": life_ms} | ({"uses": most} if most else {})
            if kind == "issue_again":
                return await self._insist(http, f"{dice.getrandbits(64):016x}", body, owner)
            return await self._ask(http, "issue", "/v1/tokens", body, owner, most=most)
        token = self._choose(dice, kind)
        if token is None:
            return None
        verb = dice.choice(["use", "peek", "renew"]) if kind == "ended" else kind
        if verb == "rotate" and token.counted:
            verb = "use"
        body = {"token": token.text}
        overlap_ms = dice.choice([0, 200, 1_000]) if verb == "rotate" else 0
        if verb == "rotate":
            body |= {"overlap_ms": overlap_ms}
        return await self._ask(http, verb, f"/v1/tokens/{verb}", body, token.owner, token, overlap_ms=overlap_ms)

    async def _insist(self, http: aiohttp.ClientSession, key: str, body: Any, owner: str) -> Operation:
        for _ in range(TRIES):
            operation = await self._ask(http, "issue", "/v1/tokens", body, owner, key=key)
            if operation.status not in (0, 503):
                break
            await asyncio.sleep(FAILED_REST_S)
        return operation

    def _choose(self, dice: random.Random, kind: str) -> Known | None:
        among = list(self.ended) if kind == "ended" else self.live[-RECENT:] if dice.random() < 0.5 else self.live
        return dice.choice(among) if among else None

    async def _ask(
        self, http: aiohttp.ClientSession, verb: str, path: str, body: Any, owner: str, token: Known | None = None,
        *, most: int | None = None, overlap_ms: int = 0, key: str = "",
    ) -> Operation:  # fmt: skip
        began, late = time.monotonic(), self._lag.total
        status, said = await _answer(http, self._url + path, body, {"Idempotency-Key": key} if key else {})
        ended = time.monotonic()
        operation = Operation(
            verb=verb, subject=token.id if token else "", owner=owner, overlap_ms=overlap_ms, most=most, key=key,
            began=began, ended=ended, waited=max(0.0, ended - began - (self._lag.total - late)),
            status=status, code=_code(status, said), made=said.get("id", "") if status == 201 else "",
            told=said.get("id", ""), told_owner=said.get("owner", ""), state=said.get("state", ""),
            deadline_ms=said.get("expires_at_ms"), more=bool(said.get("more")), via=self._via,
        )  # fmt: skip
        self._history.add(operation)
        self._learn(operation, token, said.get("token"))
        return operation

    def _learn(self, operation: Operation, token: Known | None, text: str | None) -> None:
        if operation.made and text and operation.state == "active":
            self.live.append(Known(operation.made, operation.owner, text, operation.most is not None))
        over = operation.code in FINAL or (not operation.made and operation.state in FINAL)
        if token is not None and over and token in self.live:
            self.live.remove(token)
            self.ended.append(token)


async def _answer(
    http: aiohttp.ClientSession, url: str, body: Any, headers: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    """Status 0: none came, or not all of it."""
    try:
        async with http.post(url, data=msgspec.json.encode(body), headers=headers) as got:
            said = await got.read()
            return got.status, msgspec.json.decode(said) if said else {}
    except aiohttp.ClientConnectorError:
        return 0, {"code": UNREACHABLE}
    except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError):
        return 0, {}


def _code(status: int, said: dict[str, Any]) -> str:
    code = "" if 200 <= status < 300 else str(said.get("code", ""))
    return f"caller {code}" if said.get("field") == "Authorization" else code


def enough(least: int) -> Callable[[dict[str, int]], bool]:
    """Whether each verb succeeded as often."""
    return lambda done: min(done.values()) >= least
