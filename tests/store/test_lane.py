"""The one connection of the shared round trips: answers in order, and dropped on any doubt."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ResponseError

from service.store.lane import Lane
from tests.world import World


def lane_of(world: World) -> Lane:
    node = world.link.nodes.of("")
    assert node is not None
    return node.lane


async def test_calls_that_were_written_together_get_their_own_answers(world: World) -> None:
    lane = lane_of(world)

    answers = await asyncio.gather(*[lane.call("ECHO", str(number)) for number in range(200)])

    assert answers == [b"%d" % number for number in range(200)]


async def test_an_error_is_its_callers_alone(world: World) -> None:
    lane = lane_of(world)
    await lane.call("SET", "word", "x")

    calls = [lane.call("ECHO", "1"), lane.call("LPUSH", "word", "y"), lane.call("ECHO", "2")]

    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [answers[0], answers[2]] == [b"1", b"2"]
    assert isinstance(answers[1], ResponseError)
    await lane.call("DEL", "word")


async def test_when_it_is_dropped_all_that_wait_hear_of_it_and_the_next_call_connects_anew(world: World) -> None:
    lane = lane_of(world)
    await lane.call("ECHO", "open")
    waiting = [lane.call("ECHO", "lost") for _ in range(3)]

    lane.drop()

    assert [type(one) for one in await asyncio.gather(*waiting, return_exceptions=True)] == [Lost] * 3
    assert await lane.call("ECHO", "again") == b"again"


async def test_what_is_not_answered_in_time_drops_it_and_nobody_gets_the_late_answer(world: World) -> None:
    lane = Lane(world.redis, 0.2)
    await lane.call("ECHO", "open")

    with pytest.raises(TimeoutError):
        await lane.call("BLPOP", "nothing", "1")

    assert await lane.call("ECHO", "mine") == b"mine"
    await lane.close()


async def test_one_whose_caller_gave_up_shifts_no_answer(world: World) -> None:
    lane = lane_of(world)
    await lane.call("ECHO", "open")
    gone, mine = lane.call("ECHO", "gone"), lane.call("ECHO", "mine")

    gone.cancel()

    assert await mine == b"mine"


async def test_a_connection_that_was_closed_a_moment_ago_is_lost_and_the_next_call_connects_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvloop raises where plain asyncio says nothing; the reader hears of the loss only later."""
    lane = lane_of(world)
    await lane.call("ECHO", "open")
    assert lane._line is not None
    writer = lane._line._connection._writer

    def closed(_: object) -> None:
        raise RuntimeError("unable to perform operation on <UnixTransport closed=True>; the handler is closed")

    with monkeypatch.context() as patch:
        patch.setattr(writer, "writelines", closed)
        lost = lane.call("ECHO", "lost")

    with pytest.raises(Lost):
        await lost
    assert await lane.call("ECHO", "again") == b"again"
