"""The verbs about one token: issue, use, peek, renew, rotate."""

import argparse
import sys
from typing import Any

import msgspec
from msgspec import UNSET

from service.cli.options import VISIBLE, Verbs, add_remote, duration
from service.cli.out import as_json, say, say_json, tell
from service.cli.reach import text_of
from service.cli.show import block
from service.client import Client, TokenView


def add(verbs: Verbs) -> None:
    add_issue(verbs)
    use = add_remote(
        verbs, "use", use_one, "check a token and put it back to full life", VISIBLE,
        'tokenlife use tl_AbC...\nprintf %s "$TOKEN" | tokenlife use - --scope read',
    )  # fmt: skip
    use.add_argument("token", help="the text, or - for stdin")
    add_scopes(use, "a scope that the token must have, else it is refused and not renewed")
    for name, verb, help_ in (
        ("peek", peek, "look at a token and its remaining life; changes nothing"),
        ("renew", renew, "put a token back to full life on request"),
    ):
        parser = add_remote(verbs, name, verb, help_, VISIBLE, f"tokenlife {name} tl_AbC...\ntokenlife {name} --id ID")
        add_subject(parser)
    rotate_ = add_remote(
        verbs, "rotate", rotate, "replace a token's text; prints the new one",
        "The old text works on for the overlap. " + VISIBLE,
        'NEW=$(tokenlife rotate "$OLD" --overlap 30s)',
    )  # fmt: skip
    rotate_.add_argument("token", help="the old text, or - for stdin")
    rotate_.add_argument(
        "--overlap", type=duration, default=UNSET, metavar="10s", help="how long the old text lives on"
    )


def add_issue(verbs: Verbs) -> None:
    issue_ = add_remote(
        verbs, "issue", issue, "make a token; prints its text, which is never shown again",
        "On a terminal it also describes the token, on stderr.",
        "TOKEN=$(tokenlife issue --owner ann)\n"
        "tokenlife issue --owner ann --life 30m --ceiling 8h --scope read --scope write\n"
        "tokenlife issue --owner shop --type service --life forever --scope tokens:issue --scope tokens:use",
    )  # fmt: skip
    option = issue_.add_argument
    option("--owner", required=True, help="whom the token stands for: an account, a user, a transaction")
    option("--type", default=UNSET, help="what kind of token (default: session; a caller's own token: service)")
    option("--life", type=life, default=UNSET, metavar="30m", help="full life: 30m, 1h30m, 45s, 250ms, or forever")
    option("--ceiling", type=duration, metavar="8h", help="past which no use renews it: from now, or a moment in ms")
    option("--uses", type=int, help="how often it can be used")
    option("--fixed", action="store_true", help="use does not renew it")
    option("--refreshable", action="store_true", help="it may be exchanged for a new one where a dialect allows that")
    add_scopes(issue_, "what it may do")
    option("--description", help="words for people")
    option(
        "--metadata", type=json_object, default=UNSET, metavar="JSON", help='an object, such as \'{"ip": "10.0.0.1"}\''
    )
    option(
        "--recoverable", action="store_true", help="keep a sealed copy of the text: lists show it to who may issue such"
    )
    option("--tenant", help="another tenant than one's own (admins only)")
    option("--key", metavar="KEY", help="an Idempotency-Key: the same key and options answer the same token")


def add_scopes(parser: argparse.ArgumentParser, help_: str) -> None:
    parser.add_argument("--scope", action="append", default=[], help=help_ + "; may be given several times")


def add_subject(parser: argparse.ArgumentParser) -> Any:
    """The group, for a third way to say which token."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("token", nargs="?", help="the text, or - for stdin")
    which.add_argument("--id", help="the public handle instead of the text")
    return which


def life(text: str) -> int | None:
    return None if text in ("forever", "null") else duration(text)


def json_object(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise argparse.ArgumentTypeError(f"not a JSON object: {error}") from None


async def issue(args: argparse.Namespace, client: Client) -> None:
    view = await client.issue(
        args.owner, tenant=args.tenant, type=args.type, life_ms=args.life, ceiling_ms=args.ceiling, uses=args.uses,
        sliding=not args.fixed, refreshable=args.refreshable, scopes=args.scope, description=args.description,
        metadata=args.metadata, recoverable=args.recoverable, idempotency_key=args.key,
    )  # fmt: skip
    show_text(args, view)


async def use_one(args: argparse.Namespace, client: Client) -> None:
    show(args, await client.use(text_of(args.token), scopes=args.scope))


async def peek(args: argparse.Namespace, client: Client) -> None:
    show(args, await (client.get(args.id) if args.id else client.peek(text_of(args.token))))


async def renew(args: argparse.Namespace, client: Client) -> None:
    show(args, await (client.renew_by_id(args.id) if args.id else client.renew(text_of(args.token))))


async def rotate(args: argparse.Namespace, client: Client) -> None:
    show_text(args, await client.rotate(text_of(args.token), overlap_ms=args.overlap))


def show(args: argparse.Namespace, view: TokenView) -> None:
    if args.json:
        say_json(as_json(view))
        return
    for line in block(view):
        say(line)


def show_text(args: argparse.Namespace, view: TokenView) -> None:
    """The text alone, so that it can be caught; who looks on also sees what it is."""
    if args.json:
        say_json(as_json(view))
        return
    say(view.token or "")
    sys.stdout.flush()
    if sys.stdout.isatty():
        for line in block(view):
            tell(line)
