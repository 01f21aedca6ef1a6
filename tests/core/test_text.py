"""Texts: what was signed here opens, in any dressing; the least change to it does not."""

import hashlib
import string
import uuid

import pytest
from itsdangerous import Signer

from service.core.errors import BadInput, Malformed, Missing
from service.core.text import BODY, SIGNATURE, Texts, dashed, handle, new_handle, partition_of, stand_in
from tests.world import World

KEYS = ("a new signing key", "an old signing key")
ALPHABET = string.ascii_letters + string.digits + "-_"
STRANGE = "+/=.,:~ \t\n\0\x7fé\u2028\ud800"


@pytest.fixture
def texts() -> Texts:
    return Texts(KEYS)


def opens(texts: Texts, text: str) -> bool:
    try:
        texts.open(text)
    except Malformed:
        return False
    return True


def test_a_text_opens_to_the_handle_that_it_was_made_with(texts: Texts) -> None:
    text, made = texts.mint(7)

    assert texts.open(text) == made
    assert uuid.UUID(made).version == 8
    assert uuid.UUID(made).variant == uuid.RFC_4122
    assert made.startswith("07")
    assert len(text) == len("tl_") + BODY + 1 + SIGNATURE


def test_a_text_is_signed_as_itsdangerous_signs(texts: Texts) -> None:
    """Those that were issued before the keys were derived by ourselves open still."""
    signer = Signer(KEYS[0], salt=b"tokenlife.token", key_derivation="hmac", digest_method=hashlib.sha256)
    text, made = texts.mint(7)

    body, _, signature = text.removeprefix("tl_").partition(".")

    assert signer.sign(body).decode() == f"{body}.{signature}"
    assert Texts(["another", *KEYS]).open(text) == made


@pytest.mark.parametrize("place", range(BODY + 1 + SIGNATURE))
def test_a_text_with_any_other_character_in_any_place_is_refused(texts: Texts, place: int) -> None:
    text, _ = texts.mint(7)
    at = len("tl_") + place

    for other in set(ALPHABET + STRANGE) - {text[at]}:
        assert not opens(texts, text[:at] + other + text[at + 1 :]), (place, other)


@pytest.mark.parametrize("sign", "+/")
def test_the_other_base64_alphabet_is_another_text(texts: Texts, sign: str) -> None:
    """Decoders take both; then one token would have several texts."""
    ours = {"+": "-", "/": "_"}[sign]
    made = [text for text, _ in (texts.mint(7) for _ in range(50)) if ours in text[3:]]

    assert made
    assert not [text for text in made if opens(texts, text[:3] + text[3:].replace(ours, sign))]


def test_a_text_that_is_cut_or_continued_is_refused(texts: Texts) -> None:
    text, _ = texts.mint(7)

    for cut in range(1, len(text)):
        assert not opens(texts, text[:cut])
    for cut in range(len("tl_") + 1, len(text)):
        assert not opens(texts, text[cut:])
    for more in ("A", "=", " ", "\n", ".", text):
        assert not opens(texts, text + more)
        assert not opens(texts, more + text)


@pytest.mark.parametrize("dressing", ["tl_", "stg_", "secret-token:", "a_", "abcdefghijklmnop_"])
def test_any_dressing_opens_the_same_token(texts: Texts, dressing: str) -> None:
    text, made = texts.mint(7)

    assert texts.open(dressing + text.removeprefix("tl_")) == made
    assert texts.mint(7, dressing)[0].startswith(dressing)
    assert texts.parts(dressing + text.removeprefix("tl_"))[0] == dressing


@pytest.mark.parametrize(
    "dressing", ["", "_", ":", "tl", "TL_", "tl-", "1_", "tl_ ", " tl_", "tl_\n", "a_b_", "é_", "abcdefghijklmnopq_"]
)
def test_what_is_no_dressing_is_refused(texts: Texts, dressing: str) -> None:
    text, _ = texts.mint(7)

    assert not opens(texts, dressing + text.removeprefix("tl_"))


def test_keys_rotate_and_nobody_is_logged_out(texts: Texts) -> None:
    before, handle_before = Texts(KEYS[1:]).mint(7)

    assert texts.open(before) == handle_before
    after, handle_after = texts.mint(7)
    assert Texts((*("newer",), *KEYS)).open(after) == handle_after
    assert not opens(Texts(KEYS[1:]), after)


def test_a_key_that_is_removed_takes_its_texts_along(texts: Texts) -> None:
    signed_by_the_old, _ = Texts(KEYS[1:]).mint(7)

    assert not opens(Texts(KEYS[:1]), signed_by_the_old)
    assert opens(texts, signed_by_the_old)


def test_no_text_is_missing(texts: Texts) -> None:
    for nothing in (None, ""):
        with pytest.raises(Missing):
            texts.open(nothing)


@pytest.mark.parametrize("text", ["x", ".", "tl_", "\ud800", "\udcff" * 80, "é" * 75, "\0" * 75, "A" * 100_000])
async def test_nonsense_is_malformed_whatever_it_is_made_of(world: World, text: str) -> None:
    """The admin token's own form is tried too."""
    with pytest.raises(Malformed):
        await world.tokens.use(text)


def test_a_refusal_does_not_repeat_the_text(texts: Texts) -> None:
    with pytest.raises(Malformed) as refused:
        texts.open("tl_this-is-nobodys-business")

    assert "business" not in repr(refused.value) + str(refused.value)
    assert refused.value.evidence == {}


def test_other_kinds_of_text_open_but_are_not_rotated(texts: Texts) -> None:
    def opener(text: str) -> str:
        if text != "the admin's own":
            raise Malformed
        return stand_in(3, text)

    texts.also(opener)

    assert texts.open("the admin's own") == stand_in(3, "the admin's own")
    assert opens(texts, texts.mint(7)[0])
    with pytest.raises(BadInput, match="cannot be rotated"):
        texts.parts("the admin's own")


def test_no_two_texts_or_handles_are_alike(texts: Texts) -> None:
    made = [texts.mint(number % 16) for number in range(2_000)]

    assert len({text for text, _ in made}) == len({id_ for _, id_ in made}) == 2_000
    assert {id_[:2] for _, id_ in made} == {f"{number:02x}" for number in range(16)}
    assert new_handle(7) != new_handle(7)


def test_a_handle_does_not_open_its_text(texts: Texts) -> None:
    """A copy of the store knows handles only."""
    text, made = texts.mint(7)

    assert not opens(texts, made)
    assert not opens(texts, "tl_" + made)
    assert made.replace("-", "") not in text.encode().hex()
    assert handle(b"\7" + b"x" * 20) == dashed(handle(b"\7" + b"x" * 20).replace("-", ""))


@pytest.mark.parametrize("partitions", [1, 2, 16, 256])
def test_owners_are_spread_over_all_partitions(partitions: int) -> None:
    found = [partition_of("shop", f"owner {number}", partitions) for number in range(partitions * 50)]

    assert set(found) == set(range(partitions))
    assert max(found.count(partition) for partition in set(found)) < 120
    assert partition_of("shop", "ann", 1_000_003) != partition_of("bank", "ann", 1_000_003)
    assert partition_of("shop", "ann", 1_000_003) != partition_of("sho", "pann", 1_000_003)
