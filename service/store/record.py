"""A record in Redis: text that an operator can read, with the numbers that a use changes at fixed places.

    active 1764001800000 1764000000000 0000000003 3612672000000000 1800000 - - s - - default session read write
    ann
    {"description":"web login","metadata":{"ip":"10.0.0.1"}}

`lua/prelude.lua` says what each word is.  A packed form would save some 40 bytes a token.
"""

import msgspec

from service.core.text import dashed
from service.core.token import ACTIVE, EMPTY, EXPIRED, REVOKED, Draft, Token, Words

TICKS = 2048  # sequence numbers in a millisecond, as in the prelude


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


def _number(word: bytes) -> int | None:
    return None if word == b"-" else int(word)


def decode(short: str, record: bytes, remaining: int) -> Token:
    """The token of a record.  An active one without a life has lapsed, whether or not a sweep has marked it."""
    line, owner, rest, *rotation = record.split(b"\n")
    head = line.split(b" ")
    state, deadline, ended_at, ended_by = head[0].decode(), int(head[1]), _number(head[9]), head[10].decode()
    if state == ACTIVE and remaining == 0:
        state, ended_at, ended_by = (REVOKED, deadline, "rotated") if rotation else (EXPIRED, deadline, "life")
    life = _number(head[5])
    words = _words.decode(rest)
    successor = rotation[0].split(b" ") if rotation else None
    sequence = int(head[4])
    return Token(
        id=dashed(short),
        state=state,
        deadline_at_ms=deadline or None,
        last_used_at_ms=int(head[2]),
        uses=int(head[3]),
        sequence=sequence,
        created_at_ms=sequence // TICKS,
        # A server clock stepped back shows a PTTL above the full life.
        remaining_ms=None if remaining < 0 else remaining if life is None else min(remaining, life),
        life_ms=life,
        ceiling_at_ms=_number(head[6]),
        max_uses=_number(head[7]),
        sliding=b"s" in head[8],
        refreshable=b"r" in head[8],
        ended_at_ms=ended_at,
        ended_by=None if ended_by == "-" else ended_by,
        tenant=head[11].decode(),
        type=head[12].decode(),
        scopes=tuple(word.decode() for word in head[13:]),
        owner=owner.decode(),
        description=words.description,
        metadata=words.metadata,
        sealed=words.sealed,
        rotated_from=words.rotated_from,
        rotated_to=dashed(successor[0].decode()) if successor else None,
        successor=successor[1].decode() if successor else None,
    )


def decode_at(short: str, record: bytes, moment_ms: int) -> Token:
    """The token of a record that was written at this moment of the store's clock, as it stood then."""
    deadline = int(record.split(b" ", 2)[1])
    if not record.startswith(b"active"):
        return decode(short, record, 0)
    return decode(short, record, max(1, deadline - moment_ms) if deadline else -1)
