"""The service is killed, in the middle of what it is doing for somebody, and started again."""

import asyncio
import random
import signal
from hashlib import sha1

import pytest

from service.store.scripts import ALLOW_OOM, lua, source
from tests.api.calls import ADMIN, KEYS
from tests.chaos.checker import Rules
from tests.chaos.proxy import Command, Fault, Wire
from tests.chaos.scenario import Chaos
from tests.servers import Service, wait_until

pytestmark = pytest.mark.chaos

KILLS = 6
MIXES = {
    "issuing": ("issue", {"issue": 40, "issue_short": 20, "issue_again": 20, "use": 20, "peek": 5, "ended": 5}),
    "revoking": ("revoke", {"issue": 40, "use": 20, "peek": 5, "revoke": 30, "revoke_owner": 1, "ended": 15}),
    "sweeping": ("sweep", {"issue": 10, "issue_short": 50, "use": 20, "renew": 10, "rotate": 5, "ended": 10}),
}


class Ambush(Fault):
    """Kills the service at one of its calls to a script: when the command is on its way to the store, or when the
    answer is on its way back."""

    def __init__(self, verb: str, service: Service, dice: random.Random) -> None:
        super().__init__()
        texts = [head + source(verb) for head in ("", ALLOW_OOM, lua("room"))]
        self._digests = [sha1(text.encode()).hexdigest().encode() for text in texts]
        self._service, self._sent = service, dice.random() < 0.5
        self._after = dice.randrange(10)  # calls that go by
        self._watched: Wire | None = None

    async def request(self, wire: Wire, command: Command) -> None:
        if not self.times and any(digest in command.text for digest in self._digests):
            self._after -= 1
            if self._after < 0:
                self._watched = wire
                if self._sent:
                    self._kill()
        await wire.forward(command)

    async def reply(self, wire: Wire, data: bytes) -> None:
        if wire is self._watched and not self.times:
            self._kill()
        await wire.answer(data)

    def _kill(self) -> None:
        self.times += 1
        self._service.signal(signal.SIGKILL)


@pytest.mark.parametrize("doing", MIXES)
async def test_a_service_that_is_killed(chaos: Chaos, doing: str, seed: int) -> None:
    dice = random.Random(seed)
    verb, mix = MIXES[doing]
    async with chaos(f"SIGKILL of the service, {doing}", proxied=True, mix=mix, rules=Rules(silent=True)) as run:
        for _ in range(KILLS):
            await run.busy(5)
            with run.fault(), run.proxy.under(Ambush(verb, run.service, dice)) as ambush:
                await wait_until(lambda: not run.service.running, timeout_s=20)
                await asyncio.to_thread(run.service.start)
            assert ambush.times == 1
        await run.busy(5)

    assert run.outcomes()[0] > 0


async def test_one_of_two_that_is_killed_while_both_sweep(chaos: Chaos, seed: int) -> None:
    """The other one, which is as young and as eager, goes on with what was left."""
    dice = random.Random(seed)
    verb, mix = MIXES["sweeping"]
    name = "SIGKILL of one of two services, both sweeping"
    async with chaos(name, proxied=True, mix=mix, rules=Rules(silent=True), tick_ms=5) as run:
        other = {"redis_url": run.store.url, "signing_keys": KEYS, "admin_token": ADMIN, "tick_ms": 5}
        with Service(**other, log_level="ERROR", events_kept=1_000_000):
            for _ in range(KILLS):
                await run.busy(5)
                with run.fault(), run.proxy.under(Ambush(verb, run.service, dice)):
                    await wait_until(lambda: not run.service.running, timeout_s=20)
                    await asyncio.to_thread(run.service.start)
            await run.busy(5)
