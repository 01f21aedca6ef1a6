"""The tools of `make test-deploy`, which are not in the venv of the service."""

import subprocess
from pathlib import Path

from tests.servers import ROOT

TOOLS = ROOT / ".venv-deploy" / "bin"
LONG_S = 300.0  # on a busy machine


def tool(name: str, *words: str | Path, given: str | None = None) -> "subprocess.CompletedProcess[str]":
    """What it said and how it ended; `given` stands on its standard input."""
    return subprocess.run(
        [TOOLS / name, *words], input=given, capture_output=True, text=True, timeout=LONG_S, check=False, cwd=ROOT
    )


def python(code: str, given: str) -> "subprocess.CompletedProcess[str]":
    """A judge that is a library: it reads its standard input."""
    return tool("python", "-c", code, given=given)
