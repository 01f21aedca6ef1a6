"""The SDK: one class, one method a verb.

async with Client("http://tokenlife:8080", own_token) as client:
    session = await client.issue("ann", life_ms=1_800_000)
    await client.use(session.token)
"""

from service.client.answers import Counts, Event, EventPage, Health, OwnerRevoked, Page, TokenView
from service.client.keeper import KeepAlive
from service.client.sdk import Client
from service.core.errors import (
    BadInput,
    CallerRefused,
    Conflict,
    Consumed,
    Expired,
    Forbidden,
    Gone,
    Malformed,
    Missing,
    Refusal,
    Revoked,
    Unavailable,
    Unknown,
)

__all__ = [
    "BadInput",
    "CallerRefused",
    "Client",
    "Conflict",
    "Consumed",
    "Counts",
    "Event",
    "EventPage",
    "Expired",
    "Forbidden",
    "Gone",
    "Health",
    "KeepAlive",
    "Malformed",
    "Missing",
    "OwnerRevoked",
    "Page",
    "Refusal",
    "Revoked",
    "TokenView",
    "Unavailable",
    "Unknown",
]
