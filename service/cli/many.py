"""The verbs about many tokens: list, count, revoke."""

import argparse
import sys

from service.cli.one import add_subject, show
from service.cli.options import VISIBLE, Verbs, add_filters, add_remote
from service.cli.out import as_json, progress, say, say_json, tell
from service.cli.reach import text_of
from service.cli.show import table
from service.cli.words import plain
from service.client import BadInput, Client, TokenView

PAGE = 1_000  # what one call answers at most
STATES = ("active", "expired", "revoked", "consumed")


def add(verbs: Verbs) -> None:
    list_ = add_remote(
        verbs, "list", list_tokens, "list tokens, the newest first", "With --json a token is a line.",
        "tokenlife list --owner ann --state active\ntokenlife list --all --json | jq -r .id",
    )  # fmt: skip
    add_filters(list_)
    list_.add_argument("--state", choices=STATES, help="only in this state")
    how_many = list_.add_mutually_exclusive_group()
    how_many.add_argument("--limit", type=int, default=50, help="at most so many (default: 50)")
    how_many.add_argument("--all", action="store_true", help="however many there are")
    list_.add_argument("--oldest", action="store_true", help="the oldest first")
    count_ = add_remote(verbs, "count", count, "count tokens by state and type", "", "tokenlife count --owner ann")
    add_filters(count_)
    count_.add_argument("--state", choices=STATES, help="only in this state")
    add_revoke(verbs)


def add_revoke(verbs: Verbs) -> None:
    revoke_ = add_remote(
        verbs, "revoke", revoke, "end a token now, or all tokens of an owner",
        "An owner's tokens are asked about first, on a terminal. " + VISIBLE,
        "tokenlife revoke --id 0193...\ntokenlife revoke --owner ann --type session --except 0193... --dry-run",
    )  # fmt: skip
    which = add_subject(revoke_)
    which.add_argument("--owner", help="all that this owner has")
    whole = revoke_.add_argument_group("with --owner")
    whole.add_argument("--type", help="only of this type")
    whole.add_argument("--except", dest="spared", action="append", default=[], metavar="ID", help="but not this one")
    whole.add_argument("--tenant", help="another tenant than one's own (admins only)")
    whole.add_argument("--dry-run", action="store_true", help="count, and change nothing")
    whole.add_argument("--yes", action="store_true", help="do not ask")


async def list_tokens(args: argparse.Namespace, client: Client) -> None:
    wanted = sys.maxsize if args.all else args.limit
    if wanted < 1:
        raise BadInput("--limit", "must be at least 1")
    found = client.list(
        limit=min(wanted, PAGE), owner=args.owner, type=args.type, tenant=args.tenant, state=args.state,
        order="asc" if args.oldest else "desc",
    )  # fmt: skip
    views: list[TokenView] = []
    async for view in found:
        if len(views) == wanted:
            tell(f"These are the first {wanted}; --limit or --all shows more.")
            break
        views.append(view)
        if args.json:
            say_json(as_json(view))
    if not args.json:
        for line in table(views):
            say(line)


async def count(args: argparse.Namespace, client: Client) -> None:
    counts = await client.count(owner=args.owner, type=args.type, tenant=args.tenant, state=args.state)
    if args.json:
        say_json(counts)
        return
    for label, by in (("state", counts.by_state), ("type", counts.by_type)):
        for name, number in sorted((name, number) for name, number in by.items() if number):
            say(f"{label:<6} {name:<16} {number:>12,}")
    say(f"{'total':<23} {counts.total:>12,}")


async def revoke(args: argparse.Namespace, client: Client) -> None:
    if args.owner:
        await revoke_owner(args, client)
        return
    if args.type or args.spared or args.tenant or args.dry_run:
        raise BadInput("--type, --except, --tenant, --dry-run", "go with --owner only")
    show(args, await (client.revoke_by_id(args.id) if args.id else client.revoke(text_of(args.token))))


async def revoke_owner(args: argparse.Namespace, client: Client) -> None:
    whose = f"{plain(args.owner)}'s {args.type or ''} tokens".replace("  ", " ")
    if not (args.dry_run or args.yes) and sys.stdin.isatty() and not confirmed(f"End {whose}?"):
        raise BadInput("--yes", "was not given, and the answer was not yes: nothing was revoked")
    total, more = 0, True
    while more:
        answer = await client.revoke_owner(
            args.owner, spared=args.spared, type=args.type, tenant=args.tenant, dry_run=args.dry_run
        )
        total, more = total + answer.revoked, answer.more and not args.dry_run
        progress(f"{total:,} revoked" if more else "")
    if args.json:
        say_json({"revoked": total, "dry_run": args.dry_run, "more": answer.more})
        return
    at_least = "at least " if answer.more else ""
    say(f"{at_least}{total:,} of {whose} {'would be' if args.dry_run else 'were'} revoked")


def confirmed(question: str) -> bool:
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
