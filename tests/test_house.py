"""House rules that a machine can hold: small files, small functions, clean locks, whole wheels."""

import ast
import re
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flit_core import buildapi

ROOT = Path(__file__).parent.parent
CODE = [path for path in sorted((ROOT / "service").rglob("*")) if path.suffix in {".py", ".lua", ".html"}]
LOCKS = ROOT / "deploy" / "requirements"
PLACE = re.compile(r"\w:/|^\s*(-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b| @ ")

FILE_LINES = 250  # a file that is longer owns two things
FUNCTION_LINES = 40  # one screen
COLUMNS = 120  # as the linter holds it for Python

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def span(function: Function) -> set[int]:
    return set(range(function.lineno, (function.end_lineno or function.lineno) + 1))


def own_lines(function: Function) -> int:
    """Lines of a function without the functions inside it: those are read, and counted, by themselves."""
    inner = [span(node) for node in functions(function) if node is not function]
    return len(span(function).difference(*inner))


def pins(lock: str) -> dict[str, str]:
    text = (LOCKS / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, flags=re.MULTILINE))


def test_no_file_is_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in CODE}

    long = {name: length for name, length in lengths.items() if length > FILE_LINES}

    assert lengths
    assert long == {}


def test_no_line_of_a_script_is_long() -> None:
    lines = [(path.name, line) for path in CODE if path.suffix == ".lua" for line in path.read_text().splitlines()]

    long = [line for line in lines if len(line[1]) > COLUMNS]

    assert lines
    assert long == []


def test_no_function_is_long() -> None:
    trees = {path.relative_to(ROOT): ast.parse(path.read_text()) for path in CODE if path.suffix == ".py"}

    long = [
        f"{path}:{function.lineno} {function.name}: {own_lines(function)}"
        for path, tree in trees.items()
        for function in functions(tree)
        if own_lines(function) > FUNCTION_LINES
    ]

    assert long == []


def test_a_function_inside_a_function_is_counted_by_itself() -> None:
    tree = ast.parse("def outer():\n    a = 1\n    async def inner():\n        b = 2\n    return inner\n")

    lengths = {function.name: own_lines(function) for function in functions(tree)}

    assert lengths == {"outer": 3, "inner": 2}


def test_a_lock_names_no_place() -> None:
    """Where packages come from is the business of the one who installs them."""
    files = sorted(LOCKS.iterdir())

    places = [f"{file.name}: {line}" for file in files for line in file.read_text().splitlines() if PLACE.search(line)]

    assert files
    assert places == []


@pytest.mark.parametrize(
    "line", ["--index-url https://a.b/simple", "-f wheels", "x @ file:///x.whl", "    # from http://a.b"]
)
def test_a_place_is_seen(line: str) -> None:
    assert PLACE.search(line)


def test_the_lock_holds_all_that_the_service_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    asked = {re.split(r"[\s\[<>=]", need)[0] for need in project["dependencies"]}

    assert asked
    assert asked - pins("run.txt").keys() == set()


def test_what_is_tested_is_what_runs() -> None:
    run, dev = pins("run.txt"), pins("dev.txt")

    assert run
    assert run.items() <= dev.items()


def test_the_wheel_holds_the_scripts_and_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    wheel = zipfile.ZipFile(tmp_path / buildapi.build_wheel(str(tmp_path)))

    missing = {path.relative_to(ROOT).as_posix() for path in CODE} - set(wheel.namelist())
    assert missing == set()
    assert not [name for name in wheel.namelist() if name.startswith("tests/")]
