"""The bench measures what it says: its tokens are the service's own, its rivals are pinned, its sums are right."""

import json
import os
from pathlib import Path

import pytest

from service.core.token import Draft
from tests.bench import bulk, calls
from tests.bench.capacity import Costs, Need
from tests.bench.load import Plan, attempt, quantile
from tests.bench.measure import Contender, Sample, apart, ratio, turn
from tests.bench.scale import asked, flat
from tests.bench.scale.asked import Cost
from tests.bench.scale.turns import middles
from tests.bench.servers import ADMIN, Plain, Store, cpu_seconds, service
from tests.servers import binaries

LOCK = Path(__file__).parent / "rivals" / "package-lock.json"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
ADMINS = 1  # tokens that a service makes of its settings


def sample(rate: float) -> Sample:
    return Sample(rate=rate, p50_ms=1, p99_ms=1, server_us=1, store_us=1, commands=1, generator=0.1)


def records(store: Store) -> int:
    return sum(1 for _ in store.client.scan_iter("tl:*:t:*", count=1_000))


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


def test_a_size_is_held_against_the_first_of_the_same_turn() -> None:
    slow, fast = ({10: Cost(us, us, 5), 1_000: Cost(us * 1.1, us, 5)} for us in (90.0, 50.0))
    disturbed = {10: Cost(50, 50, 5), 1_000: Cost(250, 50, 5)}

    found = middles({"use": [slow, disturbed, fast]}, [10, 1_000])

    assert [found[size]["use"].times for size in found] == pytest.approx([1.0, 1.1])


def test_a_verb_that_is_not_for_the_first_size_is_held_against_the_next() -> None:
    turns = [{100: Cost(20, 9, 5), 1_000: Cost(30, 9, 5)}]

    found = middles({"page": turns}, [1, 100, 1_000])

    assert {size: costs["page"].times for size, costs in found.items() if costs} == {100: 1.0, 1_000: 1.5}


def test_what_comes_and_goes_leaves_each_store_as_many_tokens_as_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "TURNS", 2)
    with Store(binaries()["valkey"]) as few, Store(binaries()["valkey"]) as more:
        stores = {1_000: few, 1_100: more}
        texts = {size: flat.known(store) for size, store in stores.items()}
        flat.fill(more, 1_000, 1_100)

        found = flat.measure(stores, texts)

        assert [records(store) for store in stores.values()] == [1_000 + ADMINS, 1_100 + ADMINS]
        assert all(set(costs) == set(flat.VERBS) for costs in found.values())


def test_processor_time_is_told_finer_than_in_ticks() -> None:
    with Store(binaries()["valkey"]) as store:
        before = cpu_seconds(store)
        store.client.ping()

        spent = cpu_seconds(store) - before

        assert 0 < spent < 0.005


def test_the_lock_of_the_rivals_names_no_registry() -> None:
    packages = json.loads(LOCK.read_text())["packages"]

    named = [name for name, package in packages.items() if "resolved" in package]

    assert len(packages) > 100
    assert named == []


@pytest.mark.skipif(CORES == 1, reason="there is one core, or the system binds no process to any")
def test_the_store_and_the_generators_leave_a_core_to_the_server_as_long_as_it_is_measured() -> None:
    with Store(binaries()["valkey"]) as store:
        before = os.sched_getaffinity(0)
        with apart(store):
            meanwhile = [os.sched_getaffinity(pid) for pid in (0, store.pid)]
        after = [os.sched_getaffinity(pid) for pid in (0, store.pid)]

    assert meanwhile == [before - {min(before)}] * 2
    assert after == [before] * 2


def test_a_turn_sends_what_the_last_one_did_not() -> None:
    asked = [calls.request("GET", f"/bare?{number}") for number in range(200_000)]
    with Store(binaries()["valkey"]) as store, Plain(store) as plain:
        contender = Contender("bare", plain, list(asked))
        turn(contender, store, 0.1)

    first = asked.index(contender.requests[0])
    assert first > 0
    assert contender.requests == asked[first:] + asked[:first]


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
