"""The command line.  Every verb that is about tokens speaks HTTP, through the SDK, as any other caller does.

Exit codes: 0 done, 1 refused (which refusal is said), 2 wrong usage or input, 3 unavailable.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from service.cli import credential, events, house, many, one, watch
from service.cli.options import WRONG, Parser
from service.cli.out import tell
from service.cli.words import moment
from service.client import BadInput, CallerRefused, Conflict, Gone, Refusal, Unavailable
from service.settings import SettingsError

DONE, REFUSED, UNAVAILABLE = 0, 1, 3
INTERRUPTED = 130  # as shells count a Ctrl-C

OUR_ERRORS = (SettingsError, BadInput, Refusal, CallerRefused, Conflict, Gone, Unavailable)


def main(words: Sequence[str] | None = None) -> int:
    args = parser().parse_args(words)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has seen enough.  What is still unwritten must not fail again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OUR_ERRORS as error:
        code, sentence = verdict(error)
        for line in sentence.splitlines():
            tell(f"tokenlife: {line}")
    return code


def parser() -> argparse.ArgumentParser:
    whole = Parser(
        prog="tokenlife",
        description="Owns the life of opaque session tokens: issued once, renewed by use, ended on time.",
        epilog="""\
TOKENLIFE_URL says where the service is (http://127.0.0.1:8080), TOKENLIFE_TOKEN what is presented to it (the admin
token kept in TOKENLIFE_DATA_DIR).  Durations: 30m, 1h30m, 45s, 250ms, or milliseconds.

Exit codes: 0 done, 1 refused, 2 wrong usage or input, 3 unavailable.

examples:
  tokenlife serve
  TOKEN=$(tokenlife issue --owner ann --life 30m)
  tokenlife use "$TOKEN"
  tokenlife watch""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = whole.add_subparsers(title="verbs", metavar="VERB", required=True)
    for add in (house.add_serve, one.add, many.add, events.add, watch.add, credential.add, house.add):
        add(verbs)
    return whole


def verdict(error: Exception) -> tuple[int, str]:
    """The exit code, and a sentence for people."""
    match error:
        case Refusal():
            return REFUSED, f"refused ({error.code}): {error}{_evidence(error)}"
        case CallerRefused():
            whose = "the token that you present yourself (TOKENLIFE_TOKEN)"
            return REFUSED, f"refused ({error.refusal.code}): {whose}: {error.refusal}{_evidence(error.refusal)}"
        case Gone():
            return REFUSED, f"refused ({error.code}): {error} Go on from: {error.oldest}"
        case Conflict():
            return REFUSED, f"refused ({error.code}): {error.message}"
        case Unavailable():
            return UNAVAILABLE, f"unavailable: {error.reason or error.message}"
    return WRONG, str(error)


def _evidence(refusal: Refusal) -> str:
    for name in ("expired_at_ms", "ended_at_ms"):
        if isinstance(at := refusal.evidence.get(name), int):
            return f" That was at {moment(at)}."
    return f" Needed: {needed}." if (needed := refusal.evidence.get("needed")) else ""
