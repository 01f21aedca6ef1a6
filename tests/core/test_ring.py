"""All that is made of the signing keys follows them."""

import pytest

from service.core.cursor import Cursors, Place
from service.core.errors import BadInput, Malformed
from service.core.jwts import Jwts
from service.core.ring import Ring
from service.core.seal import Sealer
from service.core.store import Filter
from service.core.text import Texts

OLD, NEW = "the older of two signing keys", "the newer of two signing keys"
CLAIMS = {"exp": 4_000_000_000, "jti": "a handle"}
WHICH = Filter(tenant="shop")


def test_a_text_opens_until_its_key_is_gone() -> None:
    ring = Ring([OLD])
    texts = ring.part(Texts)
    text, handle = texts.mint(7)

    ring.turn([NEW, OLD])
    known = texts.open(text)
    ring.turn([NEW])

    assert known == handle
    with pytest.raises(Malformed):
        texts.open(text)


def test_a_text_is_signed_by_the_first_key() -> None:
    ring = Ring([OLD])
    texts = ring.part(Texts)

    ring.turn([NEW, OLD])
    text, handle = texts.mint(7)

    assert Texts([NEW]).open(text) == handle
    with pytest.raises(Malformed):
        Texts([OLD]).open(text)


def test_other_kinds_of_text_open_as_before() -> None:
    ring = Ring([OLD])
    texts = ring.part(Texts)
    texts.also(lambda text: f"the handle of {text}")

    ring.turn([NEW])

    assert texts.open("another") == "the handle of another"


def test_what_is_sealed_opens_until_its_key_is_gone() -> None:
    ring = Ring([OLD])
    sealer = ring.part(Sealer)
    sealed = sealer.seal("secret", "purpose", "context")

    ring.turn([NEW, OLD])
    opened, anew = sealer.open(sealed, "purpose", "context"), sealer.seal("secret", "purpose", "context")
    ring.turn([NEW])

    assert opened == "secret"
    assert sealer.open(sealed, "purpose", "context") is None
    assert sealer.open(anew, "purpose", "context") == "secret"


def test_a_cursor_is_read_until_its_key_is_gone() -> None:
    ring = Ring([OLD])
    cursors = ring.part(Cursors)
    cursor = cursors.make(Place(5), WHICH, descending=True)

    ring.turn([NEW, OLD])
    place, anew = cursors.read(cursor, WHICH, descending=True), cursors.make(Place(6), WHICH, descending=True)
    ring.turn([NEW])

    assert place == Place(5)
    assert cursors.read(anew, WHICH, descending=True) == Place(6)
    with pytest.raises(BadInput):
        cursors.read(cursor, WHICH, descending=True)


def test_a_jwt_is_read_until_its_key_is_gone() -> None:
    ring = Ring([OLD])
    jwts = ring.part(lambda keys: Jwts(keys, "a purpose"))
    text = jwts.write(CLAIMS)

    ring.turn([NEW, OLD])
    claims, anew = jwts.read(text), jwts.write(CLAIMS)
    ring.turn([NEW])

    assert claims == CLAIMS
    assert jwts.read(anew) == CLAIMS
    with pytest.raises(Malformed):
        jwts.read(text)
