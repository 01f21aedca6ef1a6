"""How verbs are declared, and the options that several of them share."""

import argparse
import sys
import textwrap
from collections.abc import Callable
from typing import Any, NoReturn

from service.cli.out import tell
from service.cli.reach import Remote, remote
from service.cli.words import duration_ms

WRONG = 2  # the exit code of wrong usage or input
TIMEOUT_MS = 5_000  # people wait longer than services do

HELP_COLUMNS = 80

Verbs = Any  # argparse names the type of add_subparsers() only for itself
Run = Callable[[argparse.Namespace], int]

VISIBLE = (
    "The text of a token given as an argument is visible to every user of the machine in `ps`: '-' reads it from stdin."
)


class Parser(argparse.ArgumentParser):
    """Complains in one sentence; the usage is there for who asks for it."""

    def error(self, message: str) -> NoReturn:
        tell(f"{self.prog}: {message.removeprefix('argument ')} (see {self.prog} --help)")
        sys.exit(WRONG)


def duration(text: str) -> int:
    try:
        return duration_ms(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add(verbs: Verbs, name: str, run: Run, help: str, more: str = "", example: str = "") -> argparse.ArgumentParser:
    """A verb with a help that says what it does, and shows it."""
    shown = "\n".join(f"  {line}" for line in example.strip().splitlines())
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=help,
        description=textwrap.fill(f"{help[0].upper()}{help[1:]}. {more}".strip(), HELP_COLUMNS),
        epilog=f"example{'s' if len(shown.splitlines()) > 1 else ''}:\n{shown}" if shown else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def add_remote(
    verbs: Verbs, name: str, verb: Remote, help: str, more: str = "", example: str = ""
) -> argparse.ArgumentParser:
    """A verb that speaks to a running service."""
    parser = add(verbs, name, remote(verb), help, more, example)
    parser.add_argument("--json", action="store_true", help="answer in JSON, for machines")
    parser.add_argument("--url", help="the service (default: TOKENLIFE_URL, else http://127.0.0.1:8080)")
    parser.add_argument(
        "--timeout",
        type=duration,
        default=TIMEOUT_MS,
        metavar="5s",
        help="how long a call may take, repeats included (default: %(default)s ms)",
    )
    return parser


def add_filters(parser: argparse.ArgumentParser, type_help: str = "only of this type") -> None:
    parser.add_argument("--owner", help="only of this owner")
    parser.add_argument("--type", help=type_help)
    parser.add_argument("--tenant", help="another tenant than one's own (admins only)")
