"""The answer of the short way: bytes that are written as they are.

aiohttp builds header objects for every response and serializes them at once, which is a third of what a request
costs; an answer that is always a 200 with the same headers needs none of that.  Errors go the usual way.
"""

from aiohttp.helpers import rfc822_formatted_time

ANSWER = (
    b"HTTP/1.1 200 OK\r\n%bCache-Control: no-store\r\nDate: %b\r\n"
    b"Content-Length: %d\r\nX-Request-Id: %b\r\nServer: tokenlife\r\n\r\n%b"
)


def answered(head: bytes, body: bytes, request_id: str) -> bytes:
    """200 with these header lines, each of which ends with CRLF, and this body, on a connection that is kept."""
    return ANSWER % (head, rfc822_formatted_time().encode(), len(body), request_id.encode(), body)
