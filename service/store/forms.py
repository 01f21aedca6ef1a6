"""Answers in a voice's own form: neither a `Token` nor a view is made of what is asked all the time (1.8 us each).

What a voice says of a token is the same from use to use but for a few numbers, and those stand in the record as text.
So the rest is made once of what no use changes, and remembered.  What is no success, or has no form, is made as always.
"""

from functools import lru_cache

from msgspec.structs import replace

from service.core.store import Ask, Form
from service.core.token import ACTIVE, Token
from service.store.batch import Answer
from service.store.questions import outcome
from service.store.record import DEADLINE, FIXED, LAST_USE, LIVE, LONG, REMEMBERED, USES, fixed_of

THIRTEEN = b"1000000000000"  # digits, as moments have since 2001; `never` and earlier ones have zeros before them


def in_form(form: Form | None, ask: Ask, subject: str | None, answer: Answer) -> Token | bytes | Exception:
    """What is told of an answer: in the form where it has one, else as a token, else why not."""
    if form is not None and subject is not None and (text := written(form, subject, answer)):
        return text
    return outcome(ask, subject, answer)


def written(form: Form, id_: str, answer: Answer) -> bytes | None:
    """What the voice says of an active token, None where it has to look at the token itself."""
    word, left, record = answer
    if word != "ok" or left <= 0 or len(record) > LONG or not record.startswith(LIVE):
        return None
    life, text = _made(form, record[FIXED])
    deadline, last_use = record[DEADLINE], record[LAST_USE]
    if text is None or left > life or deadline < THIRTEEN or last_use < THIRTEEN:
        return None
    return text % (id_.encode(), left, deadline, last_use, record[USES].lstrip(b"0") or b"0")


@lru_cache(REMEMBERED)
def _made(form: Form, part: bytes) -> tuple[int, bytes | None]:
    token = replace(fixed_of(part), state=ACTIVE)
    return token.life_ms or 0, form(token) if token.life_ms else None
