"""From a problem (RFC 9457) to the exception that says the same.

Only a problem with a code of ours speaks about a token.  A 401 that something in between made up, a 404 of another
service or a 500 say nothing about it, so they are `Unavailable`: such an answer logs nobody out.
"""

from typing import Any

import msgspec

from service.core.errors import REFUSALS, BadInput, CallerRefused, Conflict, Gone, Unavailable

STANDARD = frozenset({"type", "title", "status", "detail", "instance", "code", "field"})  # the rest is evidence
CALLER = "Authorization"  # the field at fault when the refusal is about the caller's own token
CONFLICTS, BAD_INPUTS, UNAVAILABLE = (409, 412, 422), (400, 413, 415), 503


def unavailable(said: str) -> Unavailable:
    """What came between, told to people too: of the store of a service that was not reached nothing is known."""
    return Unavailable(said, said)


def error_of(status: int, body: bytes) -> Exception:
    """What to raise for an answer that is not a success."""
    try:
        problem = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        return unavailable(f"the answer was HTTP {status}, but not of a tokenlife service")
    return error_in({"status": status, **problem})


def error_in(problem: dict[str, Any]) -> Exception:
    status, code, detail = problem.get("status"), str(problem.get("code", "")), str(problem.get("detail", ""))
    field = str(problem.get("field", "request"))
    if code in REFUSALS:
        refusal = REFUSALS[code](**{name: value for name, value in problem.items() if name not in STANDARD})
        return CallerRefused(refusal) if field == CALLER else refusal
    if code == Gone.code:
        return Gone(str(problem.get("oldest", "")))
    if code == "unknown_account":
        return BadInput("username", detail)
    if status in CONFLICTS:
        return Conflict(code, detail)
    if status in BAD_INPUTS:
        return BadInput(field, detail.removeprefix(f"{field}: "))
    if status == UNAVAILABLE:
        return unavailable(detail)
    return unavailable(f"the answer was HTTP {status}: {detail}")
