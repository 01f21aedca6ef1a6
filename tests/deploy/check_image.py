"""The Dockerfile: linted, and its instructions carried out in a directory of this machine, which has no engine.

What this cannot see is the base image itself: the Python here stands for the one there, and layers and the read-only
root are the engine's.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from service import __version__
from tests.deploy.reading import DOCKERFILE, image_environment, stages, steps
from tests.deploy.tools import LONG_S, tool
from tests.deploy.worked import get
from tests.servers import ROOT, Child, Service, free_port

pytestmark = pytest.mark.timeout(600)  # all packages are installed anew
NOBODY = 65532


class Image:
    """A root directory in which the instructions of all stages were carried out, as far as they touch files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for number, stage in enumerate(stages()):
            place = "/"
            for step in stage:
                if step.word == "WORKDIR":
                    place = step.rest
                    self.inside(place).mkdir(parents=True, exist_ok=True)
                elif step.word == "RUN":
                    self.run(step.rest, place)
                elif step.word == "COPY" and number == 0:
                    self.copy(step.rest.split(), self.inside(place))

    def inside(self, path: str) -> Path:
        return self.root / path.strip("/")

    def run(self, command: str, place: str) -> None:
        """Absolute paths mean the image's; `python` and `pip` mean those of this venv."""
        if os.getuid() != 0:  # only root gives a directory away
            command = command.replace(f"-o {NOBODY} -g {NOBODY} ", "")
        words = [self.moved(word) for word in command.split()]
        here = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PIP_QUIET": "1"}
        subprocess.run(
            ["sh", "-ec", " ".join(words)], cwd=self.inside(place), env=os.environ | here, check=True, timeout=LONG_S
        )

    def moved(self, word: str) -> str:
        return str(self.inside(word)) if word.startswith("/") else word

    def copy(self, words: list[str], place: Path) -> None:
        """Only what .dockerignore lets through."""
        *sources, target = words
        for source in sources:
            assert source in context(), f"{source} is not in the context"
            into = place / target
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, into)

    def files(self) -> dict[str, float]:
        """What is in it, but for the data directory, and when it was written."""
        data = self.inside(image_environment()["TOKENLIFE_DATA_DIR"])
        return {str(one): one.stat().st_mtime for one in self.root.rglob("*") if not one.is_relative_to(data)}


class Container(Service):
    """What the image starts: its words, its environment and its user, on free ports."""

    def __init__(self, image: Image, *words: str) -> None:
        super().__init__(ops_port=free_port())
        given = {name: value.replace("/opt", str(image.inside("opt"))) for name, value in image_environment().items()}
        data = image.inside(given["TOKENLIFE_DATA_DIR"])
        Child.__init__(self, words or [*steps("ENTRYPOINT")[0].words, *steps("CMD")[0].words])
        here = {
            "TOKENLIFE_HOST": "127.0.0.1", "TOKENLIFE_PORT": str(self.port), "TOKENLIFE_OPS_PORT": str(self.ops_port),
            "TOKENLIFE_DATA_DIR": str(data), "PATH": given["PATH"].replace("$PATH", os.environ["PATH"]),
        }  # fmt: skip
        self.environment = given | here
        self.command = [*as_nobody(), *self.command]


def as_nobody() -> list[str]:
    """Becomes the user of the image.  Only root can, and only where others may reach the Python of this venv: it is
    not so where that lives in root's own directory.  Then the service runs as whoever tests."""
    python = Path(sys.executable).resolve()
    reached = all(parent.stat().st_mode & 0o001 for parent in python.parents)
    mine = os.getuid() != 0 or not reached
    return [] if mine else ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def context() -> list[str]:
    """The lines of .dockerignore that let something through again; first it keeps everything out."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def check_health(container: Container) -> "subprocess.CompletedProcess[str]":
    [check] = steps("HEALTHCHECK")
    words = json.loads(check.rest.partition("CMD ")[2])
    return subprocess.run(
        [*as_nobody(), *words], env=container.environment, cwd="/", capture_output=True, text=True, timeout=LONG_S,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    root = tmp_path_factory.mktemp("image")
    for parent in [root, *root.parents][:3]:
        parent.chmod(0o755)  # pytest's own are its user's alone
    yield Image(root)
    shutil.rmtree(root)


def test_the_linter_has_nothing_against_it() -> None:
    found = tool("hadolint", "--failure-threshold", "style", DOCKERFILE)

    assert found.stdout == ""
    assert found.returncode == 0


def test_the_linter_sees_a_mistake() -> None:
    found = tool("hadolint", "-", given=DOCKERFILE.read_text() + "RUN cd /tmp\nCMD serve\n")

    assert {"DL3003", "DL3025"} <= set(found.stdout.split())


def test_nothing_but_the_pinned_packages_and_the_service_is_installed(image: Image) -> None:
    lock = (ROOT / "deploy" / "requirements" / "run.txt").read_text()

    found = [one.name.split("-")[0] for one in image.root.rglob("site-packages/*.dist-info")]
    installed = {name.lower().replace("_", "-") for name in found}

    assert "tokenlife" in installed
    assert [name for name in installed - {"tokenlife"} if f"\n{name}==" not in lock] == []
    assert not list(image.root.rglob("bin/pip*"))
    assert not [one for one in image.root.rglob("*") if fnmatch(one.name, "*.egg-link") or "__editable__" in one.name]


def test_the_bytecode_is_written_already(image: Image) -> None:
    [package] = image.root.glob("opt/tokenlife/lib/python3.*/site-packages/service")

    assert list(package.rglob("app.*.pyc"))


def test_it_serves_is_found_healthy_and_writes_nowhere_but_into_its_volume(image: Image) -> None:
    before = image.files()

    with Container(image) as running:
        health = check_health(running)
        admin = (image.inside(image_environment()["TOKENLIFE_DATA_DIR"]) / "admin-token").read_text().strip()
        seen = get(f"{running.url}/v1/self", admin)
        user = Path(f"/proc/{running.pid}").stat().st_uid

    assert health.stdout == "live\n"
    assert health.returncode == 0
    assert '"scopes":["admin"]' in seen
    assert user == (NOBODY if as_nobody() else os.getuid())
    assert image.files() == before


def test_the_data_directory_is_its_users_alone(image: Image) -> None:
    found = image.inside(image_environment()["TOKENLIFE_DATA_DIR"]).stat()

    assert found.st_mode & 0o777 == 0o700
    assert found.st_uid == (NOBODY if os.getuid() == 0 else os.getuid())


def test_it_ends_when_it_is_asked_to_and_then_is_not_healthy(image: Image) -> None:
    with Container(image) as running:
        code = running.stop()

        health = check_health(running)

    assert code == 0
    assert health.returncode == 1


def test_its_command_line_is_the_service(image: Image) -> None:
    environment = Container(image).environment

    said = subprocess.run(["tokenlife", "version"], env=environment, check=True, timeout=LONG_S, capture_output=True)

    assert said.stdout.decode().strip() == __version__
