"""The verb events: what happened, or what happens."""

import argparse
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from service.cli.options import Verbs, add_filters, add_remote
from service.cli.out import say, say_json, tell
from service.cli.show import event_line
from service.client import BadInput, Client, Event, Unavailable

PAGE = 1_000  # what one call answers at most


def add(verbs: Verbs) -> None:
    parser = add_remote(
        verbs, "events", events, "print events: what happened, or with --follow what happens",
        "With --json an event is a line of CloudEvents; its id is unique for ever.",
        "tokenlife events --type expired --limit 20\ntokenlife events --follow --owner ann --json",
    )  # fmt: skip
    add_filters(parser, "only issued, used, renewed, rotated, revoked, expired or consumed")
    parser.add_argument("--follow", action="store_true", help="go on for ever, from now unless --after is given")
    parser.add_argument("--after", metavar="CURSOR", help="from behind this cursor; also: start, now")
    parser.add_argument("--limit", type=int, help="end after so many")


async def events(args: argparse.Namespace, client: Client) -> None:
    if args.limit is not None and args.limit < 1:
        raise BadInput("--limit", "must be at least 1")
    left, cursor = args.limit or sys.maxsize, ""
    async with aclosing(following(args, client) if args.follow else kept(args, client)) as found:
        async for event in found:
            show(args, event)
            cursor, left = event.cursor, left - 1
            if left == 0:
                break
    if cursor and sys.stdout.isatty():
        tell(f"To go on from here: tokenlife events --after {cursor}")


def following(args: argparse.Namespace, client: Client) -> AsyncGenerator[Event, None]:
    def on_break(error: Unavailable) -> None:
        tell(f"tokenlife: {error.reason}; trying again")

    return client.events(args.after, owner=args.owner, type=args.type, tenant=args.tenant, on_break=on_break)


async def kept(args: argparse.Namespace, client: Client) -> AsyncGenerator[Event, None]:
    """All that is kept up to now.  Only the last event of a page comes with a cursor."""
    after = args.after
    while True:
        page = await client.events_page(after, limit=PAGE, owner=args.owner, type=args.type, tenant=args.tenant)
        for event in page.events:
            yield msgspec.structs.replace(event, cursor=page.next if event is page.events[-1] else "")
        if page.next == after:
            return
        after = page.next


def show(args: argparse.Namespace, event: Event) -> None:
    if args.json:
        say_json(event)
    else:
        say(event_line(event))
    sys.stdout.flush()
