"""What the rooms tell of their work.  Nobody has to listen; the metrics and the lines do."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TypeVar

from service.core.errors import CallerRefused, Refusal, Unavailable
from service.core.store import Pass

T = TypeVar("T")


class Watch:
    """Every method may be called at any rate, and none may fail or wait."""

    def batch(self, size: int) -> None:
        """One call to the store carries `size` distinct presentations."""

    def call(self, verb: str, seconds: float) -> None:
        """A script answered."""

    def store_error(self, kind: str) -> None:
        """The store could not answer: a class name, never a message."""

    def verdict(self, verb: str, outcome: str, times: int = 1) -> None:
        """A token was used, peeked at ...: 'ok' or the word that refused it, or its caller."""

    def swept(self, done: Pass) -> None:
        """One sweep pass is over."""


SILENT = Watch()
AUTHORIZE = "authorize"  # of a caller alone: no verb of a token


async def counted(watch: Watch, verb: str, asked: Awaitable[T]) -> T:
    """What a verb gives, with its verdict told."""
    try:
        given = await asked
    except (Refusal, CallerRefused, Unavailable) as no:
        watch.verdict(verb, no.code)
        named(verb)
        raise
    watch.verdict(verb, "ok")
    return given


def told(watch: Watch, verb: str, tell: Callable[[T | Exception], None], outcome: T | Exception) -> None:
    """The same where the outcome is told and not awaited."""
    watch.verdict(verb, getattr(outcome, "code", "failed") if isinstance(outcome, Exception) else "ok")
    tell(outcome)


async def counted_each(watch: Watch, verb: str, number: int, asked: Awaitable[Sequence[T]]) -> Sequence[T]:
    """The same for so many tokens at once: each has its verdict, and what refuses them all is that of each."""
    named(verb)
    try:
        given = await asked
    except (CallerRefused, Unavailable) as no:
        watch.verdict(verb, no.code, number)
        raise
    codes = Counter(one.code if isinstance(one, (Refusal, CallerRefused)) else "ok" for one in given)
    for outcome, times in codes.items():
        watch.verdict(verb, outcome, times)
    return given


class Note:
    """What a request turns out to be about, as the rooms learn it; the line of that request tells it.

    Handles only, and never a text.  error: the last refusal or fault, also one that its voice answered with a 200.
    """

    __slots__ = ("caller", "error", "handle", "request", "span", "trace", "verb")

    def __init__(self, request: str, trace: str | None = None) -> None:
        self.request, self.trace = request, trace
        self.verb: str | None = None
        self.handle: str | None = None
        self.caller: str | None = None
        self.error: BaseException | None = None
        self.span: object = None


NOTE: ContextVar[Note | None] = ContextVar("note", default=None)  # None: nobody writes lines


def about(verb: str, handle: str | None, caller: str | None = None) -> None:
    """The request is about this verb and this token; a caller that is known stays known."""
    note = NOTE.get()
    if note is not None:
        note.verb, note.handle = verb, handle
        note.caller = caller or note.caller


def named(verb: str) -> None:
    """The same where no token is known: its caller may not have come as far as that."""
    note = NOTE.get()
    if note is not None and verb != AUTHORIZE:
        note.verb = note.verb or verb


def asked_by(caller: str | None) -> None:
    note = NOTE.get()
    if note is not None:
        note.caller = caller


def failed(error: BaseException) -> None:
    note = NOTE.get()
    if note is not None:
        note.error = error
