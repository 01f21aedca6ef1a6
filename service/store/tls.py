"""TLS with the store: connections, what is wrong with the files of the URL, and in words why it does not come about."""

import asyncio
import re
import ssl
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

from redis.asyncio.connection import AbstractConnection, RedisSSLContext, SSLConnection

WORD = "TLS: "  # how the reason of an `Unavailable` begins that is about TLS
FILES = {"ssl_ca_certs": "ca_certs", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}
MEANT_TLS = f"{WORD}the store speaks it; write rediss:// instead of redis://"
MEANT_PLAIN = f"{WORD}the store does not speak it; write redis:// instead of rediss://"
PLAIN = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}  # what OpenSSL calls an answer that is none of TLS
FRAME = re.compile(r"^\[[^\]]*\] | \(_ssl\.c:\d+\)$")  # around what OpenSSL says


class Secure(SSLConnection):
    """redis-py makes a context for each connection, and each holds the loop for 20 ms.  This one is shared until its
    files change, so that certificates may be renewed in place."""

    def context(self) -> ssl.SSLContext:
        """Raises `OSError`, `TypeError` and `ValueError`, of files and options that do not do."""
        self.ssl_context = _shared(self.ssl_context)
        return self.ssl_context.get()

    def _connection_arguments(self) -> Mapping[str, Any]:
        self.context()
        arguments: Mapping[str, Any] = super()._connection_arguments()
        return arguments

    async def disconnect(self, nowait: bool = False, *words: Any, **more: Any) -> None:  # noqa: ARG002, FBT002
        """At once.  TLS has a goodbye, and a store that is frozen never says its own: to wait for it is to fail, and a
        failover or the end of the service with it."""
        writer = self._writer
        await super().disconnect(True, *words, **more)
        if writer is not None:
            writer.transport.abort()


_contexts: dict[str, tuple[list[tuple[int, ...]], RedisSSLContext]] = {}


def _shared(own: RedisSSLContext) -> RedisSSLContext:
    asked = repr([getattr(own, name) for name in RedisSSLContext.__slots__ if name != "context"])
    stamp = [_stamp(getattr(own, name)) for name in FILES.values()]
    known, context = _contexts.get(asked, (None, own))
    if known != stamp:
        context = copy(own)
        context.context = None  # it may have been made from what the files were
        _contexts[asked] = stamp, context
    return context


def _stamp(path: str | None) -> tuple[int, ...]:
    try:
        found = Path(path or "/dev/null").stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def unfit(connection: Secure) -> str | None:
    """What cannot be right, whatever answers: said at the start, where it would else pass for a store that is away."""
    for name, own in FILES.items():
        try:
            Path(getattr(connection, own) or "/dev/null").read_bytes()
        except OSError as error:
            return f"{name}: {error.strerror}"
    try:
        connection.context()
    except ssl.SSLError as error:
        if "PEM lib" in str(error):
            return "ssl_certfile or ssl_keyfile is not PEM, has no key, or ssl_password does not open it"
        return f"the TLS options do not do: {_plainly(error)}"
    except (OSError, TypeError, ValueError) as error:
        return f"the TLS options do not do: {error}"
    return None


def cause(error: BaseException | None) -> ssl.SSLError | None:
    """The error of TLS that a client's error came from."""
    seen = set[int]()  # a chain may be a ring
    while error is not None and id(error) not in seen:
        if isinstance(error, ssl.SSLError):
            return error
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def said(error: ssl.SSLError) -> str:
    """For those who run the service: OpenSSL's own words, which hold hosts but no secret."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{WORD}the store's certificate is not accepted: {error.verify_message.rstrip('.')}"
    reason = error.reason or ""
    if reason in PLAIN:
        return MEANT_PLAIN
    return f"{WORD}{'the store refused: ' if 'ALERT' in reason else ''}{_plainly(error)}"


async def closer(connection: AbstractConnection, host: str, port: int, timeout_s: float) -> str | None:
    """A look at a store that does not answer as the URL has it; sends nothing that is secret.  None: it is away."""
    if not isinstance(connection, Secure):
        return MEANT_TLS if await _shakes_hands(host, port, timeout_s) else None
    try:
        async with asyncio.timeout(timeout_s):
            # In TLS 1.3 who lacks a certificate is told so only after the handshake; whoever has sent something by then
            # may hear of a reset and no more.
            await _heard(host, port, b"", connection.context())
    except ssl.SSLError as error:
        return said(error)
    except (OSError, TimeoutError):
        return MEANT_PLAIN if await _answers_plainly(host, port, timeout_s) else None
    return None


async def _shakes_hands(host: str, port: int, timeout_s: float) -> bool:
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port, ssl=anybody)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def _answers_plainly(host: str, port: int, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            return await _heard(host, port, b"PING\r\n", None) in (b"+", b"-")
    except (OSError, TimeoutError):
        return False


async def _heard(host: str, port: int, word: bytes, context: ssl.SSLContext | None) -> bytes:
    """The first byte that comes back; of a store to which nothing was said, none until it hangs up."""
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        writer.write(word)
        return await reader.read(1)
    finally:
        writer.transport.abort()


def _plainly(error: ssl.SSLError) -> str:
    return FRAME.sub("", str(error.args[-1] if error.args else error))
