"""The bench measures what it says: its tokens are the service's own, its rivals are pinned, its sums are right."""

import json
from pathlib import Path

import pytest

from service.core.token import Draft
from tests.bench import bulk, calls
from tests.bench.capacity import Costs, Need
from tests.bench.load import Plan, attempt, quantile
from tests.bench.measure import Sample, ratio
from tests.bench.scale import asked
from tests.bench.servers import ADMIN, Store, service
from tests.servers import binaries

LOCK = Path(__file__).parent / "rivals" / "package-lock.json"


def sample(rate: float) -> Sample:
    return Sample(rate=rate, p50_ms=1, p99_ms=1, server_us=1, store_us=1, commands=1, generator=0.1)


def test_tokens_issued_in_bulk_are_used_like_any_other() -> None:
    with Store(binaries()["valkey"]) as store, service(store) as server:
        texts = bulk.issue_known(store, [Draft(owner=f"owner-{n}", life_ms=60_000) for n in range(2_500)])

        outcome = attempt(Plan(server.port, calls.posts("/v1/tokens/use", ADMIN, texts), once=True))

        assert (outcome.answered, outcome.wrong) == (2_500, {})


def test_tokens_of_one_draft_weigh_the_same_however_they_were_issued() -> None:
    with Store(binaries()["valkey"]) as store, service(store) as server:
        [text] = calls.issue(server.port, [{"owner": "ann", "tenant": "default", "life_ms": 60_000}])
        [other] = bulk.issue_known(store, [Draft(owner="ann", life_ms=60_000)])

        views = [asked.answered(server, request) for request in calls.posts("/v1/tokens/peek", ADMIN, [text, other])]

        changing = {"id", "created_at_ms", "expires_at_ms", "last_used_at_ms", "remaining_ms"}
        first, second = ({name: value for name, value in view.items() if name not in changing} for view in views)
        assert first == second


def test_what_ended_is_told_by_the_events_with_its_lag() -> None:
    with Store(binaries()["valkey"]) as store, service(store) as server:
        place = asked.now_place(server)
        bulk.issue(store, [Draft(owner=f"owner-{n}", life_ms=200) for n in range(50)])

        asked.wait_for_expired(server, 50)

        assert len([one["lag_ms"] for one in asked.expiries(server, place)]) == 50


def test_the_lock_of_the_rivals_names_no_registry() -> None:
    packages = json.loads(LOCK.read_text())["packages"]

    named = [name for name, package in packages.items() if "resolved" in package]

    assert len(packages) > 100
    assert named == []


def test_a_ratio_is_that_of_the_rounds() -> None:
    ours, theirs = [sample(30), sample(20), sample(10)], [sample(10), sample(10), sample(10)]

    found = ratio(ours, theirs)

    assert (found.mid, found.least, found.greatest) == (2.0, 1.0, 3.0)


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 50), (0.99, 99), (0.0, 0)])
def test_a_quantile_is_one_of_the_values(share: float, wanted: float) -> None:
    assert quantile(range(100), share) == wanted


def test_ten_times_the_tokens_need_ten_times_as_much() -> None:
    costs = Costs(
        live=1000, retained=500, use=2e-5, issue=5e-5, rescore=1e-5, mark=4e-5, purge=2e-5, uses_a_process=1e4
    )

    less, more = Need.of(10**7, costs), Need.of(10**8, costs)

    assert less.memory == 10**7 * 1500
    assert more.memory == pytest.approx(10 * less.memory)
    assert more.uses == pytest.approx(10 * less.uses)
    assert more.rescoring == pytest.approx(10 * less.rescoring)
    assert less.nodes < more.nodes
