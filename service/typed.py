"""JSON as a type, whichever way its numbers are written.

JSON has one kind of number: to JSON Schema, and so to the description of our API, 1287.0 is an integer, and some
languages write every number so.  To msgspec it is none.
"""

from functools import cache
from math import isinf
from typing import Any

import msgspec

EXACT = 2**53  # below it a double knows each integer


def typed(body: bytes, kind: Any) -> Any:
    """Raises what msgspec raises: of 1287.5 for an integer, that it is a float."""
    try:
        return _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
    return msgspec.convert(_untyped.decode(body), kind)


@cache
def _decoder(kind: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(kind)


def _number(literal: str) -> int | float:
    number = float(literal)
    if isinf(number):
        raise msgspec.ValidationError("Number out of range")
    return int(number) if number.is_integer() and abs(number) < EXACT else number


_untyped = msgspec.json.Decoder(float_hook=_number)
