"""What may be asked for."""

from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from service.core import rules
from service.core.errors import REFUSALS, BadInput, Refusal
from service.core.rules import Rules
from service.core.token import Draft

LIMITS = Rules(default_life_ms=60_000, max_life_ms=3_600_000)
GOOD = Draft(owner="ann")

FINE: list[dict[str, Any]] = [
    {"life_ms": 1},
    {"life_ms": 3_600_000},
    {"life_ms": None},
    {"ceiling_ms": 1},
    {"ceiling_ms": 3_600_000},
    {"ceiling_ms": 1_000_000_000_000},
    {"ceiling_ms": rules.FURTHEST},
    {"uses": 1},
    {"uses": 1_000_000_000},
    {"scopes": tuple(f"scope:{number}" for number in range(64))},
    {"scopes": ("!#$%&'()*+,-./:;<=>?@[]^_`{|}~", "x" * 128)},
    {"owner": "x" * 256},
    {"owner": "Zoë 名前 🙂"},
    {"tenant": "a" * 64},
    {"tenant": "A.b-c_9"},
    {"type": "a" * 32},
    {"type": "web.login_2-b"},
    {"description": "x" * 512},
    {"type": "service", "scopes": ("admin",)},
]

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("life_ms", {"life_ms": 0}),
    ("life_ms", {"life_ms": -1}),
    ("life_ms", {"life_ms": 3_600_001}),
    ("ceiling_ms", {"ceiling_ms": 0}),
    ("ceiling_ms", {"ceiling_ms": 3_600_001}),
    ("ceiling_ms", {"ceiling_ms": 999_999_999_999}),
    ("ceiling_ms", {"ceiling_ms": rules.FURTHEST + 1}),
    ("uses", {"uses": 0}),
    ("uses", {"uses": 1_000_000_001}),
    ("uses", {"uses": 1, "type": "service"}),
    ("scopes", {"scopes": tuple(map(str, range(65)))}),
    ("scopes", {"scopes": ("a", "a")}),
    *[("scopes", {"scopes": (bad,)}) for bad in ("", " ", "a b", "a\n", '"', "\\", "é", "x" * 129, "\0")],
    *[("owner", {"owner": bad}) for bad in ("", "x" * 257, "a\nb", "\0", "\x7f", "\x85", "\u2028", "\ud800")],
    *[("tenant", {"tenant": bad}) for bad in ("", "a:b", "-a", ".a", "é", "a b", "x" * 65, "a\n", "*", "{a}")],
    *[("type", {"type": bad}) for bad in ("", "A", "1a", "a:b", "a b", "x" * 33, "a\n", "é")],
    *[("description", {"description": bad}) for bad in ("", "x" * 513, "a\nb", "\ud800")],
]


@pytest.mark.parametrize("policy", FINE, ids=str)
def test_fine(policy: dict[str, Any]) -> None:
    draft = msgspec.structs.replace(GOOD, **policy)

    settled = LIMITS.settle(draft)

    life = 60_000 if draft.life_ms is UNSET else draft.life_ms
    assert settled == msgspec.structs.replace(draft, life_ms=life)


@pytest.mark.parametrize(("field", "policy"), WRONG, ids=str)
def test_wrong(field: str, policy: dict[str, Any]) -> None:
    draft = msgspec.structs.replace(GOOD, **policy)

    with pytest.raises(BadInput) as refused:
        LIMITS.settle(draft)

    assert refused.value.field == field


def test_for_ever_is_for_those_whose_settings_allow_it() -> None:
    with pytest.raises(BadInput, match="for ever"):
        Rules(forever=False).settle(msgspec.structs.replace(GOOD, life_ms=None))


@pytest.mark.parametrize("value", ["", "x", "0" * 36, "0a3fef7d-7b4c-4d61-a5b2-0123456789ab", "*"])
def test_what_is_not_of_the_form_of_a_handle_is_nobodys(value: str) -> None:
    assert not rules.HANDLE.fullmatch(value)


def test_every_refusal_has_a_code_and_a_sentence_of_its_own() -> None:
    assert set(REFUSALS) == {"missing", "malformed", "unknown", "revoked", "expired", "consumed", "forbidden"}
    for code, kind in REFUSALS.items():
        assert issubclass(kind, Refusal)
        assert kind.code == code
        assert kind.message.endswith(".")


def test_malformed_and_unknown_are_told_apart_nowhere_outside() -> None:
    assert REFUSALS["malformed"].message == REFUSALS["unknown"].message
