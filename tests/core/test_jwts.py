"""Texts that are JWTs."""

import hashlib
import hmac
from base64 import urlsafe_b64encode

import jwt
import msgspec
import pytest

from service.core.errors import Malformed
from service.core.jwts import Jwts
from service.core.text import new_handle

OLD, NEW = "an older signing key", "the newest signing key"
CLAIMS = {"exp": 4_000_000_000, "jti": new_handle(7)}


def derived(key: str) -> bytes:
    return hmac.digest(key.encode(), b"onespan jwt", "sha384")


def signed(header: object, key: bytes, digest: str = "sha384", claims: object = CLAIMS) -> str:
    """A JWT made by hand, so that nothing keeps it from being a bad one."""

    def part(data: bytes) -> str:
        return urlsafe_b64encode(data).rstrip(b"=").decode()

    body = f"{part(msgspec.json.encode(header))}.{part(msgspec.json.encode(claims))}"
    return f"{body}.{part(hmac.digest(key, body.encode(), digest))}"


def test_what_was_written_is_read() -> None:
    jwts = Jwts([NEW], "onespan")

    text = jwts.write(CLAIMS)

    assert jwts.read(text) == CLAIMS
    assert jwts.handle(text) == CLAIMS["jti"]
    assert jwt.get_unverified_header(text) == {"alg": "HS384", "typ": "JWT"}


def test_the_newest_key_signs_and_all_verify() -> None:
    text = Jwts([OLD], "onespan").write(CLAIMS)
    rotated = Jwts([NEW, OLD], "onespan")

    assert rotated.read(text) == CLAIMS
    assert rotated.write(CLAIMS) == Jwts([NEW], "onespan").write(CLAIMS) != text


def test_a_removed_key_verifies_nothing() -> None:
    text = Jwts([OLD], "onespan").write(CLAIMS)

    with pytest.raises(Malformed):
        Jwts([NEW], "onespan").read(text)


def test_a_key_signs_for_one_purpose() -> None:
    text = Jwts([NEW], "onespan").write(CLAIMS)

    with pytest.raises(Malformed):
        Jwts([NEW], "another dialect").read(text)


def test_a_text_made_by_hand_is_read_when_it_is_as_ours() -> None:
    """Else the test below would prove nothing."""
    text = signed({"alg": "HS384", "typ": "JWT"}, derived(NEW))

    assert Jwts([NEW], "onespan").read(text) == CLAIMS


@pytest.mark.parametrize(
    "text",
    [
        signed({"alg": "HS384", "typ": "JWT"}, NEW.encode()),
        signed({"alg": "HS384", "typ": "JWT"}, derived(OLD)),
        signed({"alg": "HS384", "typ": "JWT"}, b""),
        signed({"alg": "none", "typ": "JWT"}, derived(NEW)),
        signed({"alg": "NONE", "typ": "JWT"}, derived(NEW)),
        signed({"alg": "HS256", "typ": "JWT"}, derived(NEW)),
        signed({"alg": "HS256", "typ": "JWT"}, derived(NEW), "sha256"),
        signed({"alg": "HS512", "typ": "JWT"}, derived(NEW), "sha512"),
        signed({"alg": "RS256", "typ": "JWT"}, derived(NEW)),
        signed({"alg": "hs384", "typ": "JWT"}, derived(NEW)),
        signed({"alg": ["HS384"], "typ": "JWT"}, derived(NEW)),
        signed({"alg": "HS384", "crit": ["b64"], "b64": False}, derived(NEW)),
        signed({"typ": "JWT"}, derived(NEW)),
        signed("HS384", derived(NEW)),
        signed({"alg": "HS384", "typ": "JWT"}, derived(NEW), claims={"jti": new_handle(7)}),
        signed({"alg": "HS384", "typ": "JWT"}, derived(NEW), claims={"exp": 4_000_000_000}),
        signed({"alg": "HS384", "typ": "JWT"}, derived(NEW), claims={"exp": 4_000_000_000, "jti": 7}),
        signed({"alg": "HS384", "typ": "JWT"}, derived(NEW), claims=[]),
        signed({"alg": "HS384", "typ": "JWT"}, derived(NEW)) + "=",
        signed({"alg": "HS384", "typ": "JWT"}, derived(NEW))[:-1],
        signed({"alg": "none"}, derived(NEW)).rpartition(".")[0] + ".",
        "",
        "..",
        "a.b." + hashlib.sha384().hexdigest()[:64],
        "\udcff." * 2,
    ],
)
def test_any_other_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        Jwts([NEW], "onespan").read(text)
