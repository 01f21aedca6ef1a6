"""Seals: only who brings the context, to a service that has the key, sees what is inside."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from service.core.seal import Sealer

SECRET = "tl_the-text-of-a-token"


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(("a new signing key", "an old signing key"))


def test_what_was_sealed_opens_in_its_context(sealer: Sealer) -> None:
    sealed = sealer.seal(SECRET, "recoverable", "handle")

    assert sealer.open(sealed, "recoverable", "handle") == SECRET


def test_it_shows_nothing_and_never_looks_the_same_twice(sealer: Sealer) -> None:
    one, other = (sealer.seal(SECRET, "recoverable", "handle") for _ in range(2))

    assert one != other
    assert SECRET.encode() not in urlsafe_b64decode(one)
    assert " " not in one
    assert "\n" not in one


def test_another_context_or_purpose_opens_nothing(sealer: Sealer) -> None:
    sealed = sealer.seal(SECRET, "recoverable", "handle")

    assert sealer.open(sealed, "recoverable", "another handle") is None
    assert sealer.open(sealed, "successor", "handle") is None
    assert sealer.open(sealed, "recoverablehandle", "") is None


def test_keys_rotate_and_a_removed_key_takes_its_seals_along(sealer: Sealer) -> None:
    old = Sealer(("an old signing key",)).seal(SECRET, "recoverable", "handle")
    new = sealer.seal(SECRET, "recoverable", "handle")

    assert sealer.open(old, "recoverable", "handle") == SECRET
    assert Sealer(("a new signing key",)).open(new, "recoverable", "handle") == SECRET
    assert Sealer(("a new signing key",)).open(old, "recoverable", "handle") is None


def test_a_seal_with_any_bit_flipped_opens_no_more(sealer: Sealer) -> None:
    box = urlsafe_b64decode(sealer.seal(SECRET, "recoverable", "handle"))

    for bit in range(len(box) * 8):
        flipped = bytearray(box)
        flipped[bit // 8] ^= 1 << bit % 8
        assert sealer.open(urlsafe_b64encode(bytes(flipped)).decode(), "recoverable", "handle") is None


def test_any_text_can_be_sealed(sealer: Sealer) -> None:
    for secret in ("", "é🙂", "x" * 10_000):
        assert sealer.open(sealer.seal(secret, "replay", "é"), "replay", "é") == secret
