"""A record in Redis: text that an operator can read, with the numbers that a use changes at fixed places.

    active 1764001800000 1764000000000 0000000003 3612672000000000 1800000 - - s - - default session read write
    ann
    {"description":"web login","metadata":{"ip":"10.0.0.1"}}

`lua/prelude.lua` says what each word is.  A packed form would save some 40 bytes a token.
"""

import msgspec

from service.core.text import dashed
from service.core.token import ACTIVE, EMPTY, EXPIRED, REVOKED, TICKS, Draft, Token, Words

NO_WORDS = Words()
_words = msgspec.json.Decoder(Words)


def body(words: Words) -> str:
    # Raw has no default that omit_defaults could see through, so an empty one is left out by hand.
    kept = {name: value for name in words.__struct_fields__ if (value := getattr(words, name)) not in (None, EMPTY)}
    return msgspec.json.encode(kept).decode()


def flags(draft: Draft) -> str:
    return (("s" if draft.sliding else "") + ("r" if draft.refreshable else "")) or "-"


def scopes_word(scopes: tuple[str, ...]) -> str:
    """Scopes as they stand in a record: each behind a space, so that ' read ' is found in them whole."""
    return "".join(f" {scope}" for scope in scopes)


def number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _number(word: str) -> int | None:
    return None if word == "-" else int(word)


def decode(id_: str, record: bytes, remaining: int) -> Token:
    """The token of a handle and its record, whose words stand in the order of the prelude.

    An active one without a life has lapsed, whether or not a sweep has marked it.  Each use runs this once.
    """
    line, owner, rest, *rotation = record.decode().split("\n")
    (state, deadline, last, uses, number_, life_word, ceiling, most, flags_, ended_at_word, ended_by_word,
     tenant, kind, *scopes) = line.split(" ")  # fmt: skip
    deadline_ms, life, sequence = int(deadline), _number(life_word), int(number_)
    ended_at, ended_by = _number(ended_at_word), None if ended_by_word == "-" else ended_by_word
    if remaining == 0 and state == ACTIVE:
        state, ended_at, ended_by = (REVOKED, deadline_ms, "rotated") if rotation else (EXPIRED, deadline_ms, "life")
    words = NO_WORDS if rest == "{}" else _words.decode(rest)
    rotated_to, _, successor = rotation[0].partition(" ") if rotation else ("", "", "")
    # In the order of the fields: by 25 names it would take 2 us more, for each token of each answer.
    return Token(
        id_, tenant, owner, kind, state, sequence, sequence // TICKS,
        # A server clock stepped back shows a PTTL above the full life.
        None if remaining < 0 else remaining if life is None else min(remaining, life),
        life, deadline_ms or None, _number(ceiling), int(last), int(uses), _number(most),
        "s" in flags_, "r" in flags_, tuple(scopes), ended_at, ended_by,
        words.description, words.metadata, words.sealed, words.rotated_from,
        dashed(rotated_to) if rotation else None, successor or None,
    )  # fmt: skip


def decode_at(id_: str, record: bytes, moment_ms: int) -> Token:
    """The token of a record that was written at this moment of the store's clock, as it stood then."""
    deadline = int(record.split(b" ", 2)[1])
    if not record.startswith(b"active"):
        return decode(id_, record, 0)
    return decode(id_, record, max(1, deadline - moment_ms) if deadline else -1)
