"""The verbs about the service itself: serve, sweep, settings, healthcheck, openapi, version."""

import argparse
import asyncio

import msgspec

from service import __version__, settings
from service.cli.options import TIMEOUT_MS, Verbs, duration
from service.cli.options import add as add_verb
from service.cli.out import say, say_json, tell
from service.cli.words import columns
from service.client import Client, Unavailable

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # listened on; not an address to ask at


def add_serve(verbs: Verbs) -> None:
    add_verb(
        verbs, "serve", serve, "run the service", "Settings come from the environment: see `tokenlife settings`.",
        "tokenlife serve\nTOKENLIFE_PORT=9000 TOKENLIFE_REDIS_URL=redis://... tokenlife serve",
    )  # fmt: skip


def add(verbs: Verbs) -> None:
    sweep_ = add_verb(
        verbs, "sweep", sweep, "mark the tokens whose life ran out, until nothing is due",
        "A running service does this by itself; this is for a store without one.", "tokenlife sweep",
    )  # fmt: skip
    settings_ = add_verb(
        verbs, "settings", show_settings, "show every setting, its value and where that came from",
        "Of a secret it shows only whether it is set.", "TOKENLIFE_PORT=9000 tokenlife settings",
    )  # fmt: skip
    health = add_verb(
        verbs, "healthcheck", healthcheck, "ask the service of this environment whether it lives",
        "Exit code 0: yes, 1: no.", "tokenlife healthcheck --ready",
    )  # fmt: skip
    add_verb(
        verbs, "openapi", openapi, "print the description of the API (OpenAPI 3.1)", "", "tokenlife openapi > api.json"
    )
    add_verb(verbs, "version", version, "print the version")
    for parser in (sweep_, settings_, health):
        parser.add_argument("--json", action="store_true", help="answer in JSON, for machines")
    health.add_argument("--ready", action="store_true", help="also whether it takes requests")
    health.add_argument("--url", help="where (default: the host and port of the settings)")
    health.add_argument("--timeout", type=duration, default=TIMEOUT_MS, metavar="5s", help="how long it may take")


def serve(_args: argparse.Namespace) -> int:
    chosen = settings.load()
    from service import workers  # noqa: PLC0415  # slow to import, and of no use to verbs that ask a service

    return workers.serve(chosen)


def sweep(args: argparse.Namespace) -> int:
    chosen = settings.load()
    from service import workers  # noqa: PLC0415  # as above

    try:
        counts = workers.sweep(chosen)
    except (workers.EmbeddedError, workers.WrongStore) as error:
        raise Unavailable(str(error)) from None
    if args.json:
        say_json(counts)
    else:
        say(", ".join(f"{name} {number:,}" for name, number in counts.items()))
    return 0


def show_settings(args: argparse.Namespace) -> int:
    settings.load(), settings.load_client()  # all that is wrong, at once
    found = settings.describe()
    if args.json:
        say_json([setting._asdict() for setting in found])
        return 0
    rows = [(setting.name, setting.value or "-", setting.origin, setting.meaning) for setting in found]
    for line in columns(rows):
        say(line)
    return 0


def healthcheck(args: argparse.Namespace) -> int:
    try:
        state = asyncio.run(health(args.url or url_here(), args.timeout / 1000, ready=args.ready))
    except Unavailable as error:
        tell(f"tokenlife: {error.reason}")
        return 1
    if args.json:
        say_json(state)
    else:
        say(", ".join(name if yes else f"not {name}" for name, yes in state.items()))
    return 0 if state.get("ready", True) else 1


async def health(url: str, timeout_s: float, *, ready: bool) -> dict[str, bool]:
    async with Client(url, timeout_s=timeout_s) as client:
        if not ready:
            await client.live()
            return {"live": True}
        return msgspec.structs.asdict(await client.health())


def url_here() -> str:
    """Where the service of this environment answers probes."""
    here = settings.load()
    host = ANYWHERE.get(here.host, f"[{here.host}]" if ":" in here.host else here.host)
    return f"http://{host}:{here.ops_port or here.port}"


def openapi(_args: argparse.Namespace) -> int:
    from service import app  # noqa: PLC0415  # as above

    say_json(app.openapi())
    return 0


def version(_args: argparse.Namespace) -> int:
    say(__version__)
    return 0
