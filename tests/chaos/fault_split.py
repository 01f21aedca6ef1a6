"""The network is cut in two: the old master lives on, on the side where a part of the services still reaches it, while
the others elect another.

With TOKENLIFE_REVOKE_WAIT=1 and the store's `min-replicas-to-write 1` no token is accepted once its revocation has been
acknowledged, on whichever side: the old master acknowledges none that no replica has, and takes nothing more, no use
either, before another can be elected.  What it took until then, but for revocations that it acknowledged, is lost.
"""

import asyncio
from pathlib import Path

import pytest

from tests.chaos import table
from tests.chaos.checker import Rules
from tests.chaos.divided import JUST_S, LATE_S, NOTICED_S, PATIENCE_MS, WAITED, Divided, Kind, divided
from tests.groups import replication
from tests.servers import wait_until

pytestmark = pytest.mark.chaos

HEALED_S = 10.0  # from the join until all are served again


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "reset"])
@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
async def test_an_old_master_that_lives_on(kind: Kind, silent: bool, tmp_path: Path, seed: int) -> None:
    fault = f"{kind} cut in two, {'silent' if silent else 'reset'}"
    async with divided(fault, kind, tmp_path, seed) as run:
        await run.serves("old", "new")

        with run.split(silent=silent):
            elected_s = await run.serves("new")
            await run.asks_again(20)
        healed_s = await run.serves("old", "new")

        await run.asks_again(20)
        await wait_until(lambda: asyncio.to_thread(_follows, run), timeout_s=30)
        undone = (run.cut - JUST_S, run.cut + NOTICED_S + LATE_S)
        run.rules = Rules(limit_s=LATE_S, undone=(undone,), kept=WAITED)

    table.NOTES.append(f"{fault}: served by another after {elected_s:.1f} s, by all {healed_s:.1f} s after the join")
    assert _accepted_late(run) == []
    assert _revoked_alone(run) == []
    assert healed_s < HEALED_S


async def test_an_old_master_that_takes_all_that_comes_is_found_out(tmp_path: Path, seed: int) -> None:
    """No waiting for replicas helps against it: only the store's own settings do."""

    async def split() -> None:
        async with divided("sentinel cut in two, no replica needed", "sentinel", tmp_path, seed, safe=()) as run:
            await run.serves("old", "new")
            with run.split(silent=True):
                await run.serves("new")
                await run.asks_again(20)
            await run.serves("old", "new")

    with pytest.raises(AssertionError, match="'accepted after an acknowledged revoke': "):
        await split()

    assert table.ROWS.pop().violations


def _follows(run: Divided) -> bool:
    return bool(replication(run.group.old)["role"] == "slave")


def _accepted_late(run: Divided) -> list[str]:
    """What the old master took when another may have been elected."""
    return _done(run, run.cut + PATIENCE_MS / 1000)


def _revoked_alone(run: Divided) -> list[str]:
    """Revocations that it acknowledged though no replica can have had them."""
    return _done(run, run.cut, *WAITED)


def _done(run: Divided, since: float, *verbs: str) -> list[str]:
    return [
        f"{one.verb} {one.began - run.cut:.3f} s after the cut"
        for one in run.via("old")
        if one.outcome == "done" and since < one.began and one.ended < run.joined and (not verbs or one.verb in verbs)
    ]
