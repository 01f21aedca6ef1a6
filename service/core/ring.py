"""The signing keys, newest first: the first signs, all verify.  They may change while the service runs."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar


class Part(Protocol):
    """What works with the keys."""

    def rekey(self, keys: Sequence[str]) -> None: ...


P = TypeVar("P", bound=Part)


class Ring:
    """All parts change their keys together, between two steps of the event loop."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        self._parts: list[Part] = []

    def part(self, make: Callable[[Sequence[str]], P]) -> P:
        """What is made of the keys; from then on it gets all later ones."""
        made = make(self.keys)
        self._parts.append(made)
        return made

    def turn(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        for part in self._parts:
            part.rekey(self.keys)
