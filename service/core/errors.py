"""Every way the core says no, each with a stable code, a sentence for people and its evidence.

A `Refusal` is an answer about a token.  `Unavailable` is the lack of one and stands outside that set, so that no
handler can take an outage for an invalid token.  No error ever carries the text of a token.
"""

from typing import ClassVar


class Refusal(Exception):
    """The token that was presented does not do.  `evidence` holds public facts about it, never its text."""

    code: ClassVar[str]
    message: ClassVar[str]

    def __init__(self, **evidence: object) -> None:
        super().__init__(self.message)
        self.evidence = evidence


class Missing(Refusal):
    """No token was presented."""

    code = "missing"
    message = "No token was presented."


class Malformed(Refusal):
    """The text is not one that this service signed.  Told apart from `Unknown` nowhere outside."""

    code = "malformed"
    message = "The token is not known here."


class Unknown(Refusal):
    """Never issued, forgotten since its retention ended, or another tenant's."""

    code = "unknown"
    message = "The token is not known here."


class Revoked(Refusal):
    """Ended on request.  Evidence: `id`, `ended_at_ms`, `ended_by`."""

    code = "revoked"
    message = "The token was revoked."


class Expired(Refusal):
    """Its life ran out.  Evidence: `id`, `expired_at_ms`."""

    code = "expired"
    message = "The token has expired."


class Consumed(Refusal):
    """Its use count is spent.  Evidence: `id`, `ended_at_ms`."""

    code = "consumed"
    message = "The token has no uses left."


class Forbidden(Refusal):
    """A live token that may not do this.  Evidence: `id` and what it lacks (`needed`)."""

    code = "forbidden"
    message = "The token does not cover what was asked."


REFUSALS: dict[str, type[Refusal]] = {kind.code: kind for kind in Refusal.__subclasses__()}


class CallerRefused(Exception):
    """The *caller's* own token does not do; `refusal` says why.  The token it asked about was not touched."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"The caller's own token: {refusal}")
        self.refusal, self.code = refusal, f"caller_{refusal.code}"


class Unavailable(Exception):
    """The store cannot answer.  Says nothing about any token: an outage logs nobody out."""

    code: ClassVar[str] = "unavailable"
    message: str = "The token store cannot answer right now."

    def __init__(self, reason: str = "", message: str | None = None) -> None:
        """reason: for those who run the service.  message: what callers are told, where more can be said."""
        self.message = message or self.message
        super().__init__(self.message)
        self.reason = reason


class BadInput(Exception):
    """A value that cannot be taken; `field` is its name as the caller sent it."""

    code = "invalid_request"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field, self.message = field, message


class Conflict(Exception):
    """The request contradicts an earlier one: a reused idempotency key, or a record that changed meanwhile."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Gone(Exception):
    """The events after this cursor were trimmed away; `oldest` is a cursor from which reading can go on."""

    code = "trimmed"
    message = "The events after this cursor are no longer kept."

    def __init__(self, oldest: str) -> None:
        super().__init__(self.message)
        self.oldest = oldest
