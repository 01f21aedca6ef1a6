"""How an `Ask` is put to `present.lua`: as what is asked, and of whom; what is asked of many is said once."""

from collections.abc import Iterator
from itertools import groupby

from service.core.store import Ask
from service.store import keys
from service.store.batch import Question


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
        yield head
        yield "".join([id_ for (_, id_), _ in some])
        counts = [count for _, count in some]
        yield "" if sum(counts) == len(counts) else " ".join(map(str, counts))


def _head(question: tuple[Question, int]) -> str:
    return question[0][0]
