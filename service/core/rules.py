"""What may be asked for.  Every voice of the service is held to these, whatever its own wire types allow."""

import re
import time

import msgspec
from msgspec import UNSET

from service.core.errors import BadInput, Unknown
from service.core.token import SERVICE, STATES, Draft

OWNER = 256  # characters; the owner stands in the name of a key
DESCRIPTION = 512  # characters
METADATA = 4096  # bytes of JSON
SCOPES = 64
USES = 1_000_000_000
MOMENT = 1_000_000_000_000  # ms: September 2001.  A ceiling below it is a duration from now
FURTHEST = 4_102_444_800_000  # ms: the year 2100

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TYPE = re.compile(r"[a-z][a-z0-9_.-]{0,31}")
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")  # scope-token of RFC 6749 section 3.3
UNHELD = ('"none"',)  # asked for, no token covers it: none can have a scope with a quote
REASON = re.compile(r"[a-z][a-z0-9_.-]{0,31}")
HANDLE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
# Control characters, line and paragraph separators, and halves of surrogate pairs.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that the settings choose; durations in ms."""

    default_life_ms: int = 1_800_000
    max_life_ms: int = 31_536_000_000
    forever: bool = True  # whether a life of null may be asked for

    def settle(self, draft: Draft) -> Draft:
        """The draft with its defaults filled in.  Raises `BadInput`."""
        life = self.life("life_ms", self.default_life_ms if draft.life_ms is UNSET else draft.life_ms)
        name("tenant", draft.tenant)
        words("owner", draft.owner, OWNER)
        check("type", draft.type, TYPE, "lower-case letters, digits, '_', '.' and '-', 32 at most")
        scopes(draft.scopes)
        if draft.description is not None:
            words("description", draft.description, DESCRIPTION)
        if draft.uses is not None:
            between("uses", draft.uses, 1, USES)
            if draft.type == SERVICE:
                raise BadInput("uses", "a service token is used by every call, so it cannot have a use count")
        if draft.ceiling_ms is not None:
            furthest = FURTHEST if draft.ceiling_ms >= MOMENT else self.max_life_ms
            between("ceiling_ms", draft.ceiling_ms, 1, furthest)
        return msgspec.structs.replace(draft, life_ms=life, metadata=metadata(draft.metadata))

    def life(self, field: str, life_ms: int | None) -> int | None:
        """A life that may be asked for.  Raises `BadInput`."""
        if life_ms is not None:
            return between(field, life_ms, 1, self.max_life_ms)
        if not self.forever:
            raise BadInput(field, "a life of null (for ever) is not allowed here")
        return None


def between(field: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise BadInput(field, f"must be from {least} to {most}")
    return value


def check(field: str, value: str, pattern: re.Pattern[str], expected: str) -> str:
    if not pattern.fullmatch(value):
        raise BadInput(field, f"must be {expected}")
    return value


def name(field: str, value: str) -> str:
    return check(field, value, NAME, "letters, digits, '.', '_' and '-', 64 at most, a letter or digit first")


def handle(value: str) -> str:
    """What is not of the form of a handle is nobody's.  Raises `Unknown`."""
    if not HANDLE.fullmatch(value):
        raise Unknown
    return value


def words(field: str, value: str, longest: int) -> str:
    """Text of any language without control characters."""
    if not 1 <= len(value) <= longest:
        raise BadInput(field, f"must have from 1 to {longest} characters")
    if UNPRINTABLE.search(value):
        raise BadInput(field, "must not contain control characters")
    return value


def scopes(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(values) > SCOPES:
        raise BadInput("scopes", f"at most {SCOPES}")
    if len(set(values)) < len(values):
        raise BadInput("scopes", "names one twice")
    for value in values:
        check("scopes", value, SCOPE, "printable ASCII without space, quote or backslash, 128 at most")
    return values


def asked(values: tuple[str, ...]) -> tuple[str, ...]:
    """Scopes that a token is to cover, or `UNHELD`."""
    return values if values is UNHELD else scopes(values)


def metadata(value: msgspec.Raw) -> msgspec.Raw:
    """The same JSON without space between its parts: a record is a text of lines."""
    try:
        compact = msgspec.json.format(bytes(value), indent=-1)
        compact.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadInput("metadata", "must be JSON") from None
    if len(compact) > METADATA:
        raise BadInput("metadata", f"at most {METADATA} bytes of JSON")
    return msgspec.Raw(compact)


def state(field: str, value: str | None) -> str | None:
    if value not in (None, *STATES):
        raise BadInput(field, f"must be one of {', '.join(STATES)}")
    return value


def now_ms() -> int:
    """The host's clock.  For reports only: no rule about a life is ever decided by it."""
    return time.time_ns() // 1_000_000
