"""A record in Redis: text that an operator can read, with the numbers that a use changes at fixed places.

    active 1764001800000 1764000000000 0000000003 3612672000000000 1800000 - - s - - default session read write
    ann
    {"description":"web login","metadata":{"ip":"10.0.0.1"}}

`lua/prelude.lua` says what each word is.  A packed form would save some 40 bytes a token.
"""

from functools import lru_cache
from sys import intern

import msgspec
from msgspec.structs import replace

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
    state, _, rest = record.partition(b" ")
    fixed = (_remembered if len(rest) <= LONG else _fixed)(rest[CHANGING:])
    deadline_ms, life = int(rest[:13]), fixed.life_ms
    token = replace(
        fixed,
        id=id_,
        state=state.decode(),
        # A server clock stepped back shows a PTTL above the full life.
        remaining_ms=None if remaining < 0 else remaining if life is None else min(remaining, life),
        deadline_at_ms=deadline_ms or None,
        last_used_at_ms=int(rest[14:27]),
        uses=int(rest[28:38]),
    )
    if remaining != 0 or token.state != ACTIVE:
        return token
    ended = (REVOKED, "rotated") if token.rotated_to else (EXPIRED, "life")
    return replace(token, state=ended[0], ended_by=ended[1], ended_at_ms=deadline_ms)


def _fixed(part: bytes) -> Token:
    """What no use changes, from the bytes behind those that it changes."""
    line, owner, rest, *rotation = part.decode().split("\n")
    sequence, life, ceiling, most, flags_, ended_at, ended_by, tenant, kind, *scopes = line.split(" ")
    words = NO_WORDS if rest == "{}" else _words.decode(rest)
    rotated_to, _, successor = rotation[0].partition(" ") if rotation else ("", "", "")
    return Token(
        id="", tenant=intern(tenant), owner=owner, type=intern(kind), state="", sequence=int(sequence),
        created_at_ms=int(sequence) // TICKS, remaining_ms=None, life_ms=_number(life), deadline_at_ms=None,
        ceiling_at_ms=_number(ceiling), last_used_at_ms=0, uses=0, max_uses=_number(most),
        sliding="s" in flags_, refreshable="r" in flags_, scopes=tuple(scopes),
        ended_at_ms=_number(ended_at), ended_by=None if ended_by == "-" else ended_by,
        description=words.description, metadata=words.metadata, sealed=words.sealed,
        rotated_from=words.rotated_from, rotated_to=dashed(rotated_to) if rotation else None,
        successor=successor or None,
    )  # fmt: skip


_remembered = lru_cache(REMEMBERED)(_fixed)


def decode_at(id_: str, record: bytes, moment_ms: int) -> Token:
    """The token of a record that was written at this moment of the store's clock, as it stood then."""
    deadline = int(record.split(b" ", 2)[1])
    if not record.startswith(b"active"):
        return decode(id_, record, 0)
    return decode(id_, record, max(1, deadline - moment_ms) if deadline else -1)
