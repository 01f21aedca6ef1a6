"""The walls of the house: which room of service/ may import which.  No exceptions, so none are listed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVICE = Path(__file__).parent.parent / "service"

# What each room may import of ours: a name allows the module and all below it.  A room of several files
# names itself; `facades` does not, so one facade cannot import another.
MAY_IMPORT = {
    "__init__": set(),
    "__main__": {"cli"},
    "core": {"core"},
    "store": {"store", "core"},
    "wire": {"core.errors", "typed"},
    "typed": set[str](),
    "api": {"api", "core", "wire", "__version__"},
    "facades": {"core", "wire"},
    "expirer": {"core"},
    "grpc_check": {"core", "api", "telling"},
    "rekeyer": {"core", "settings"},
    "metrics": {"core"},
    "telling": {"core", "lines", "tracing"},
    "server": {"core", "wire", "connection", "express", "telling"},
    "express": {"core", "wire", "connection", "prompt", "recall", "telling"},
    "connection": {"recall"},
    "recall": set[str](),
    "tracing": {"core"},
    "lines": {"core", "wire", "logs"},
    "prompt": set[str](),
    "logs": set[str](),
    "settings": {"settings"},
    "client": {"client", "api", "core.errors"},
    "app": {
        "core", "store", "wire", "api", "facades", "expirer", "metrics", "server", "grpc_check", "lines", "logs",
        "rekeyer", "settings", "telling", "tracing",
    },
    "doors": {"settings"},
    "workers": {"app", "doors", "settings", "logs", "store.embedded", "store.urls", "__version__"},
    "cli": {"cli", "app", "workers", "settings", "core", "client", "__version__"},
}  # fmt: skip

# What each room may not import of others.
KEPT_OUT = {
    "core": {"aiohttp", "redis"},
    "store": {"aiohttp"},
    "wire": {"redis"},
    "api": {"redis", "grpc"},
    "facades": {"redis"},
    "expirer": {"redis", "aiohttp"},
    "metrics": {"redis", "aiohttp"},
    "lines": {"redis"},
    "telling": {"redis", "aiohttp"},
    "tracing": {"redis", "aiohttp"},
    "settings": {"redis", "aiohttp"},
    "client": {"redis"},
    "cli": {"redis"},
}
KEPT_OUT_EVERYWHERE = {"fakeredis", "valkey", "tests"}

ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
UNSEEN_IMPORTS = {"__import__", "import_module"}  # this walk cannot tell what they import


def breaches(where: str, source: str) -> list[str]:
    """What the file at `where` (its path below service/) has in it that its room forbids."""
    room = Path(where).parts[0].removesuffix(".py")
    if room not in MAY_IMPORT:
        return [f"{where}: no row for the room {room!r}"]
    tree = ast.parse(source)
    wrong = [target for target in imports(where, tree) if not may_import(room, target)]
    wrong += [name for name in names(tree) if name in UNSEEN_IMPORTS]
    wrong += [name for name in names(tree) if name in ENVIRONMENT and room != "settings"]
    return [f"{where}: {name}" for name in wrong]


def may_import(room: str, target: str) -> bool:
    first, _, ours = target.partition(".")
    if first != "service":
        return first not in KEPT_OUT.get(room, set()) | KEPT_OUT_EVERYWHERE
    return any(ours == allowed or ours.startswith(f"{allowed}.") for allowed in MAY_IMPORT[room])


def imports(where: str, tree: ast.AST) -> Iterator[str]:
    """Every import anywhere in the tree as an absolute dotted name, `from a import b` as `a.b`."""
    package = ("service", *Path(where).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            whole = [*base, *filter(None, [node.module])]
            yield from (".".join([*whole, alias.name]) for alias in node.names)


def names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.name


def test_no_room_reaches_through_a_wall() -> None:
    files = sorted(SERVICE.rglob("*.py"))

    found = [
        breach
        for file in files
        for breach in breaches(file.relative_to(SERVICE).as_posix(), file.read_text(encoding="utf-8"))
    ]

    assert files
    assert found == []


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("core/lifecycle.py", "import aiohttp"),
        ("core/lifecycle.py", "from redis.asyncio import Redis"),
        ("core/lifecycle.py", "def late():\n    import redis.asyncio"),
        ("core/lifecycle.py", "from service.store import keys"),
        ("core/lifecycle.py", "from ..store.keys import due"),
        ("core/lifecycle.py", "from .. import store"),
        ("core/__init__.py", "from ..wire import answer"),
        ("core/lifecycle.py", "import service"),
        ("core/lifecycle.py", "if TYPE_CHECKING:\n    from service import app"),
        ("store/batch.py", "import aiohttp.web"),
        ("wire.py", "from service.core.lifecycle import Tokens"),
        ("wire.py", "from .core import Tokens"),
        ("api/verbs.py", "import service.store.batch"),
        ("api/verbs.py", "from service.facades import taler"),
        ("facades/taler.py", "from service.api import verbs"),
        ("facades/taler.py", "from . import sarus"),
        ("facades/taler.py", "from .sarus import STATUS"),
        ("facades/taler.py", "from service.facades.sarus import STATUS"),
        ("facades/__init__.py", "from . import sarus"),
        ("expirer.py", "from .metrics import SWEPT"),
        ("settings.py", "from .core import errors"),
        ("logs.py", "from .settings import Settings"),
        ("metrics.py", "from aiohttp import web"),
        ("client.py", "from .store import keys"),
        ("client.py", "from .core.lifecycle import Tokens"),
        ("app.py", "from . import cli"),
        ("workers.py", "from .store import connect"),
        ("cli.py", "import redis"),
        ("cli.py", "from .store import embedded"),
        ("store/embedded.py", "import fakeredis"),
        ("cellar.py", ""),
        ("cellar/__init__.py", ""),
    ],
)
def test_an_import_through_a_wall_is_found(where: str, source: str) -> None:
    assert len(breaches(where, source)) == 1


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("__main__.py", "from service.cli import main"),
        ("core/lifecycle.py", "import itsdangerous\nfrom .errors import Unknown"),
        ("store/batch.py", "from redis.asyncio import Redis\nfrom ..core import errors"),
        ("wire.py", "from service.core import errors\nfrom .core.errors import Refusal"),
        ("api/verbs.py", "from service.wire import answer\nfrom . import views\nfrom aiohttp import web"),
        ("facades/taler.py", "from ..core.lifecycle import Tokens\nimport service.wire"),
        ("app.py", "import redis, aiohttp\nfrom .facades import taler, sarus"),
        ("workers.py", "from .store.embedded import Embedded\nfrom .store import embedded"),
        ("cli.py", "from .core.errors import Refusal\nfrom . import app, client, settings"),
    ],
)
def test_an_import_through_a_door_is_not_found(where: str, source: str) -> None:
    assert breaches(where, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ['HOME']",
        "import os as system\nsystem.getenv('HOME')",
        "from os import environ",
        "from os import getenv as read",
    ],
)
def test_only_settings_reads_the_environment(source: str) -> None:
    assert breaches("store/embedded.py", source) != []
    assert breaches("workers.py", source) != []
    assert breaches("settings.py", source) == []


@pytest.mark.parametrize("source", ["importlib.import_module('redis')", "__import__('redis')"])
def test_an_import_that_cannot_be_seen_is_found(source: str) -> None:
    assert len(breaches("core/lifecycle.py", source)) == 1
