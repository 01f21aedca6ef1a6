"""`chaos`: how scenarios begin.  What they did is printed as a table when all is over."""

from pathlib import Path

import pytest

from tests.chaos import scenario, table
from tests.chaos.scenario import Chaos


@pytest.fixture
def chaos(tmp_path: Path, seed: int) -> Chaos:
    return scenario.chaos(tmp_path, seed)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if table.ROWS:
        terminalreporter.section("faults")
        terminalreporter.write_line(table.text())
