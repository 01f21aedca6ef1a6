"""How a verb reaches the service: where it is, what is presented, and within which time."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from getpass import getpass
from pathlib import Path

from service.client import BadInput, Client
from service.settings import SettingsError, load_client

ADMIN_TOKEN = "admin-token"  # noqa: S105  # the name of the file in the data directory

Remote = Callable[[argparse.Namespace, Client], Awaitable[None]]


def remote(verb: Remote) -> Callable[[argparse.Namespace], int]:
    """Runs a verb with a client that is closed after it."""

    async def run(args: argparse.Namespace) -> None:
        settings = load_client()
        own = settings.token or kept_token(settings.data_dir)
        async with Client(args.url or settings.url, own, timeout_s=args.timeout / 1000) as client:
            await verb(args, client)

    def start(args: argparse.Namespace) -> int:
        asyncio.run(run(args))
        return 0

    return start


def kept_token(data_dir: Path) -> str:
    """The admin token that a service with a store of its own keeps.  Raises: SettingsError."""
    path = data_dir / ADMIN_TOKEN
    try:
        kept = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        kept = ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The admin token in {path} cannot be read: {reason(error)}.") from None
    if not kept:
        raise SettingsError(f"There is no token to present: set TOKENLIFE_TOKEN (no admin token is kept in {path}).")
    return kept


def reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is not text"


def text_of(given: str) -> str:
    """The text that was given, or for `-` the first line of stdin; typed on a terminal it is not shown."""
    if given != "-":
        return given
    text = (getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
    if not text:
        raise BadInput("token", "is empty: nothing came in on stdin")
    return text
