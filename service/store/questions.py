"""How an `Ask` is put to `present.lua`, what is asked of many once; and what the answers say."""

from collections.abc import Awaitable, Collection, Iterator
from itertools import groupby
from typing import Any

from service.core.errors import REFUSALS, CallerRefused, Refusal
from service.core.store import Ask
from service.core.token import Token
from service.store import keys, record
from service.store.batch import Answer, Question

NINE = ord("9")


def question(ask: Ask) -> Question:
    """What of `present.lua` it asks, and of whom."""
    if ask.subject is None:
        return f"ask {_caller(ask)} {ask.grant}", ""
    return head_of(ask), keys.short(ask.subject)


def head_of(ask: Ask) -> str:
    """What it asks of a subject, whoever that is."""
    head = f"{ask.verb} {_caller(ask)} {ask.grant or '-'}"
    return f"{head} {' '.join(ask.scopes)}" if ask.scopes else head


def _caller(ask: Ask) -> str:
    return "-" if ask.caller is None else ask.caller if ask.caller[0] == "=" else keys.short(ask.caller)


def groups(questions: list[tuple[Question, int]]) -> Iterator[str]:
    """The arguments of questions that stand beside those that ask the same: what is asked, the ids, and the counts.

    One argument for all ids, as packing each by itself would cost 1 us.
    """
    for head, alike in groupby(questions, key=_head):
        some = list(alike)
        yield from group(head, [id_ for (_, id_), _ in some], [count for _, count in some])


def group(head: str, ids: Collection[str], counts: Collection[int]) -> tuple[str, str, str]:
    """The same for what is asked of each of these so many times."""
    return head, "".join(ids), "" if sum(counts) == len(counts) else " ".join(map(str, counts))


def _head(question: tuple[Question, int]) -> str:
    return question[0][0]


async def answers_of(call: Awaitable[list[Any]]) -> list[Answer]:
    return triples(await call)


def triples(flat: list[Any]) -> list[Answer]:
    """A word of digits is what a use has written over the record, an active one, that it found."""
    return [
        ("ok", left, record.LIVE + word + found[record.BEHIND]) if word[0] <= NINE else (word.decode(), left, found)
        for word, left, found in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    ]


def outcome(ask: Ask, subject: str | None, answer: Answer) -> Token | Exception:
    word, remaining, found = answer
    if word == "ok":
        return record.decode(subject or ask.caller or "", found, remaining)
    if word.startswith("caller "):
        return CallerRefused(refusal(ask.caller or "", word.removeprefix("caller "), found, ask.grant or ""))
    return refusal(subject or "", word, found, " ".join(ask.scopes))


def token_of(id_: str, word: bytes, remaining: int, found: bytes) -> Token:
    if word != b"ok":
        raise refusal(id_, word.decode(), found)
    return record.decode(id_, found, remaining)


def refusal(id_: str, word: str, found: bytes, needed: str = "") -> Refusal:
    """The refusal of a word, with what may be told about the token.  An unknown one has nothing to tell."""
    kind = REFUSALS[word]
    if not found:
        return kind()
    if word == "forbidden":
        return kind(id=id_, needed=needed)
    token = record.decode(id_, found, 0)
    moment = "expired_at_ms" if word == "expired" else "ended_at_ms"
    return kind(id=id_, **{moment: token.ended_at_ms})
