"""Sizes against each other: all are there before anything is measured, and they take turns of 10 to 150 ms.

The speed of a shared machine is another one each second, by up to two to one, and lasts for some tenths of one: so it
is in the figures of one turn alike, and out of their ratio.  With long turns, or one size after the other, the ratios
told of the machine.
"""

from collections.abc import Callable, Sequence
from statistics import median
from typing import TypeVar

import msgspec

from tests.bench.scale import asked
from tests.bench.scale.asked import Cost, Round
from tests.bench.servers import Store
from tests.servers import Service

TICK_MS = 10_000  # the sweep rests, so that it is not in the figures


class Side(msgspec.Struct, frozen=True):
    """One of the sizes."""

    size: int
    store: Store
    server: Service
    texts: list[str]  # tokens that are used


class Middle(Cost):
    """Medians of the turns."""

    times: float  # what the first of the sizes cost the store in the same turn
    times_commands: float  # the same of commands


Costs = dict[str, Middle]  # by verb
Taken = dict[str, list[dict[int, Cost]]]  # by verb, turn after turn, by size
S = TypeVar("S", bound=Side)
Asks = Callable[[S, int], Round]  # what in which turn; no requests: the verb is not for this size


def turn(number: int, asks: Asks[S], sides: Sequence[S]) -> dict[int, Cost]:
    """One of each, another one first each time."""
    first = number % len(sides)
    rounds = [(side, asks(side, number)) for side in [*sides[first:], *sides[:first]]]
    return {side.size: asked.cost(side.store, side.server, round_) for side, round_ in rounds if round_.requests}


def middles(taken: Taken, sizes: Sequence[int]) -> dict[int, Costs]:
    """By size, in the order of the sizes."""
    there = {size: [verb for verb, turns in taken.items() if size in turns[0]] for size in sizes}
    return {size: {verb: _middle(taken[verb], size, sizes) for verb in verbs} for size, verbs in there.items()}


def _middle(turns: list[dict[int, Cost]], size: int, sizes: Sequence[int]) -> Middle:
    costs = [turn[size] for turn in turns]
    firsts = [turn[next(one for one in sizes if one in turn)] for turn in turns]
    pairs = list(zip(costs, firsts, strict=True))
    return Middle(
        median(cost.store_us for cost in costs),
        median(cost.server_us for cost in costs),
        median(cost.commands for cost in costs),
        times=median(cost.store_us / first.store_us for cost, first in pairs),
        times_commands=median(cost.commands / first.commands for cost, first in pairs),
    )
