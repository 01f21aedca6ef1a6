"""A record in Redis: text that an operator can read, with the numbers that a use changes at fixed places.

    a 1764001800000 1764000000000 0000000003 1800000 - - s default session read write
    ann
    3612672000000000
    {"description":"web login","metadata":{"ip":"10.0.0.1"}}

`lua/prelude.lua` says what each word is.  A packed form would save some 40 bytes a token.
"""

from functools import lru_cache
from sys import intern

import msgspec
from msgspec.structs import replace

from service.core.rules import now_ms
from service.core.text import dashed
from service.core.token import ACTIVE, CONSUMED, EMPTY, EXPIRED, REVOKED, TICKS, Draft, Token, Words

NO_WORDS = Words()
SKEW_MS = 10_000  # by which the clocks of two hosts may differ
STATES = {state[:1].encode(): state for state in (ACTIVE, EXPIRED, REVOKED, CONSUMED)}
# Where the words stand that a use changes, and what no use changes.
DEADLINE, LAST_USE, USES, FIXED = slice(2, 15), slice(16, 29), slice(30, 40), slice(41, None)
LIVE, BEHIND = b"a ", slice(40, None)  # around the three of an active one
ENDED = "= "  # begins the line that says when and by what a token ended
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
    part = record[FIXED]
    fixed = (_remembered if len(part) <= LONG else fixed_of)(part)
    deadline_ms, life = int(record[DEADLINE]), fixed.life_ms
    token = replace(
        fixed,
        id=id_,
        state=STATES[record[:1]],
        # A server clock stepped back shows a PTTL above the full life.
        remaining_ms=None if remaining < 0 else remaining if life is None else min(remaining, life),
        deadline_at_ms=deadline_ms or None,
        last_used_at_ms=int(record[LAST_USE]),
        uses=int(record[USES]),
    )
    if remaining != 0 or token.ended_by is not None:
        return token
    return _lapsed(token, found=not record.startswith(LIVE))


def _lapsed(token: Token, *, found: bool) -> Token:
    """One whose life is gone.  found: by a sweep, at its deadline; else the store may have evicted it before.

    When it did, nobody knows: not before its last use, nor later than now, which is told by the host's clock.  By that
    clock no deadline is corrected that may just be over by the store's.
    """
    state, by = (REVOKED, "rotated") if token.rotated_to else (EXPIRED, "life" if token.deadline_at_ms else "evicted")
    at, now = token.deadline_at_ms, now_ms()
    if not found and (at is None or at > now + SKEW_MS):
        at = max(token.last_used_at_ms, now)
    return replace(token, state=state, ended_by=by, ended_at_ms=at)


def fixed_of(part: bytes) -> Token:
    """What no use changes, from the bytes behind those that it changes."""
    line, owner, sequence, rest, *lines = part.decode().split("\n")
    life, ceiling, most, flags_, tenant, kind, *scopes = line.split(" ")
    words = NO_WORDS if rest == "{}" else _words.decode(rest)
    final = bool(lines) and lines[-1].startswith(ENDED)
    ended_at, ended_by = lines.pop().removeprefix(ENDED).split(" ") if final else ("-", None)
    rotated_to, _, successor = lines[0].partition(" ") if lines else ("", "", "")
    return Token(
        id="", tenant=intern(tenant), owner=owner, type=intern(kind), state="", sequence=int(sequence),
        created_at_ms=int(sequence) // TICKS, remaining_ms=None, life_ms=_number(life), deadline_at_ms=None,
        ceiling_at_ms=_number(ceiling), last_used_at_ms=0, uses=0, max_uses=_number(most),
        sliding="s" in flags_, refreshable="r" in flags_, scopes=tuple(scopes),
        ended_at_ms=_number(ended_at), ended_by=ended_by,
        description=words.description, metadata=words.metadata, sealed=words.sealed,
        rotated_from=words.rotated_from, rotated_to=dashed(rotated_to) if lines else None,
        successor=successor or None,
    )  # fmt: skip


_remembered = lru_cache(REMEMBERED)(fixed_of)


def decode_event(kind: str, id_: str, record: bytes, moment_ms: int) -> Token:
    """The token of an event at this moment of the store's clock, as it stood then.

    One that expired at its deadline is told by the record that the sweep found.
    """
    if kind == EXPIRED:
        record = b"e" + record[1:]
    if not record.startswith(LIVE):
        return decode(id_, record, 0)
    deadline = int(record[DEADLINE])
    return decode(id_, record, max(1, deadline - moment_ms) if deadline else -1)
