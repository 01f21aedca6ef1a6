"""The two ways in which `/v1` writes a token down say the same."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from service.api.views import form, view
from service.core.token import ACTIVE, Token
from tests.api.calls import NOBODY, Caller

moments = st.integers(1, 2**44)
texts, handles = st.text(max_size=20), st.uuids().map(str)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda some: st.dictionaries(texts, some, max_size=3),
    max_leaves=5,
)


def spelled(value: Any) -> Raw:
    return Raw(json.dumps(value, ensure_ascii=False, indent="\t").encode())


active = st.builds(
    Token,
    id=handles, tenant=texts, owner=texts, type=texts, state=st.just(ACTIVE), sequence=moments,
    created_at_ms=moments, remaining_ms=moments, life_ms=moments | st.none(), deadline_at_ms=moments,
    ceiling_at_ms=st.none() | st.none() | moments, last_used_at_ms=moments, uses=st.integers(0, 10**10 - 1),
    max_uses=st.none() | st.none() | st.integers(1, 9), sliding=st.booleans(), refreshable=st.booleans(),
    scopes=st.lists(texts, max_size=3).map(tuple), description=st.none() | texts, metadata=documents.map(spelled),
    rotated_from=st.none() | handles, rotated_to=st.none() | handles, sealed=st.none() | texts,
)  # fmt: skip


@settings(deadline=None, derandomize=True)
@given(one=active, other=active)
def test_a_form_that_is_filled_in_is_the_view(one: Token, other: Token) -> None:
    """It is made of one use and filled with what another changed."""
    changing = ("id", "remaining_ms", "deadline_at_ms", "last_used_at_ms", "uses")
    later = msgspec.structs.replace(one, **{name: getattr(other, name) for name in changing})

    made = form(one)

    words = later.deadline_at_ms, later.last_used_at_ms, later.uses
    assert made is None or msgspec.json.encode(view(later)) == made % (
        later.id.encode(), later.remaining_ms, *(str(word).encode() for word in words)
    )  # fmt: skip
    assert (made is None) == (one.life_ms is None or one.max_uses is not None or one.ceiling_at_ms is not None)


@pytest.mark.parametrize("verb", ["use", "peek"])
async def test_a_batch_says_of_each_token_what_a_call_about_it_alone_says(shop: Caller, verb: str) -> None:
    policies: list[dict[str, Any]] = [
        {"owner": "100 % Zoë"}, {"description": 'a "word"', "metadata": {"n": [1, None, "ü%b"]}, "scopes": ["read"]},
        {"uses": 9}, {"life_ms": None}, {"life_ms": 60_000, "ceiling_ms": 60_000}, {"sliding": False},
        {"metadata": {"long": "x" * 1_000}},
    ]  # fmt: skip
    texts = [(await shop.issue(**policy))["token"] for policy in policies]
    for text in texts:
        await shop.use(text)

    results = (await shop.post("/v1/tokens/batch", {"verb": verb, "tokens": [*texts, NOBODY]})).json["results"]
    alone = [(await shop.post("/v1/tokens/peek", {"token": text})).json for text in texts]

    assert [list(one) for one in results[:-1]] == [list(one) for one in alone]
    assert [still(one) for one in results[:-1]] == [still(one) for one in alone]
    assert all(0 < one["remaining_ms"] <= one["life_ms"] for one in results[:-1] if one["life_ms"])
    assert results[-1]["code"] == "unknown"


def still(said: dict[str, Any]) -> dict[str, Any]:
    """Without what passes by itself."""
    return {**said, "remaining_ms": None}
