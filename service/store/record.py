"""A record in Redis: text that an operator can read, with the numbers that a use changes at fixed places.

    active 1764001800000 1764000000000 0000000003 3612672000000000 1800000 - - s - - default session read write
    ann
    {"description":"web login","metadata":{"ip":"10.0.0.1"}}

`lua/prelude.lua` says what each word is.  A packed form would save some 40 bytes a token.
"""

from functools import lru_cache
from sys import intern

import msgspec

from service.core.text import dashed
from service.core.token import ACTIVE, EMPTY, EXPIRED, REVOKED, TICKS, Draft, Token, Words

NO_WORDS = Words()
CHANGING = 39  # bytes behind the state: deadline, last use, uses, each with a space behind it
REMEMBERED, LONG = 16_384, 512  # fixed parts that are not taken apart again (2 of 4 us), at most 512 bytes each
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
    word, _, rest = record.partition(b" ")
    state, deadline_ms = word.decode(), int(rest[:13])
    fixed = (_remembered if len(rest) <= LONG else _fixed)(rest[CHANGING:])
    ended_at, ended_by, rotated_to = fixed.ended_at, fixed.ended_by, fixed.rotated_to
    if remaining == 0 and state == ACTIVE:
        state, ended_at, ended_by = (REVOKED, deadline_ms, "rotated") if rotated_to else (EXPIRED, deadline_ms, "life")
    life, words = fixed.life, fixed.words
    # In the order of the fields: by 25 names it would take 2 us more, for each token of each answer.
    return Token(
        id_, fixed.tenant, fixed.owner, fixed.type, state, fixed.sequence, fixed.sequence // TICKS,
        # A server clock stepped back shows a PTTL above the full life.
        None if remaining < 0 else remaining if life is None else min(remaining, life),
        life, deadline_ms or None, fixed.ceiling, int(rest[14:27]), int(rest[28:38]), fixed.most,
        fixed.sliding, fixed.refreshable, fixed.scopes, ended_at, ended_by,
        words.description, words.metadata, words.sealed, words.rotated_from, rotated_to, fixed.successor,
    )  # fmt: skip


class Fixed(msgspec.Struct, frozen=True, gc=False):
    """What no use changes of a record."""

    sequence: int
    life: int | None
    ceiling: int | None
    most: int | None
    sliding: bool
    refreshable: bool
    ended_at: int | None
    ended_by: str | None
    tenant: str
    type: str
    scopes: tuple[str, ...]
    owner: str
    words: Words
    rotated_to: str | None
    successor: str | None


def _fixed(part: bytes) -> Fixed:
    """Of the bytes behind those that a use changes."""
    line, owner, rest, *rotation = part.decode().split("\n")
    sequence, life, ceiling, most, flags_, ended_at, ended_by, tenant, kind, *scopes = line.split(" ")
    rotated_to, _, successor = rotation[0].partition(" ") if rotation else ("", "", "")
    return Fixed(
        int(sequence), _number(life), _number(ceiling), _number(most), "s" in flags_, "r" in flags_,
        _number(ended_at), None if ended_by == "-" else ended_by, intern(tenant), intern(kind), tuple(scopes), owner,
        NO_WORDS if rest == "{}" else _words.decode(rest),
        dashed(rotated_to) if rotation else None, successor or None,
    )  # fmt: skip


_remembered = lru_cache(REMEMBERED)(_fixed)


def decode_at(id_: str, record: bytes, moment_ms: int) -> Token:
    """The token of a record that was written at this moment of the store's clock, as it stood then."""
    deadline = int(record.split(b" ", 2)[1])
    if not record.startswith(b"active"):
        return decode(id_, record, 0)
    return decode(id_, record, max(1, deadline - moment_ms) if deadline else -1)
