"""The answer of the short way: bytes that are written as they are.

aiohttp builds header objects for every response and serializes them at once, which is a third of what a request
costs; an answer that is always a 200 with the same headers needs none of that.  Errors go the usual way.
"""

from aiohttp.helpers import rfc822_formatted_time


def answered(head: str, body: bytes, request_id: str) -> bytes:
    """200 with these header lines, each of which ends with CRLF, and this body, on a connection that is kept."""
    lines = (
        f"HTTP/1.1 200 OK\r\n{head}Cache-Control: no-store\r\nDate: {rfc822_formatted_time()}\r\n"
        f"Content-Length: {len(body)}\r\nX-Request-Id: {request_id}\r\nServer: tokenlife\r\n\r\n"
    )
    return lines.encode() + body
