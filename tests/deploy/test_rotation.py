"""Signing keys rotate in a running service: it looks into the file that it was given."""

import itertools
import os
import signal
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.core.errors import Malformed
from service.core.text import Texts
from tests.deploy.worked import ADMIN, post
from tests.servers import Server, Service, wait_until

OLD, NEW, UNFIT = "the-older-signing-key", "the-newer-signing-key", "too-short"
WAIT_S = 30.0  # it looks every second, and wants to see the same twice
AT_ONCE = 20  # connections, so that each of two workers gets some

Write = Callable[[Path, str], None]
_numbers = itertools.count()


def in_place(file: Path, content: str) -> None:
    """As `echo ... > file`, which is what reaches a file that Compose mounted."""
    file.write_text(f"{content}\n")


def by_another_file(file: Path, content: str) -> None:
    other = file.with_name("other")
    other.write_text(content)
    other.replace(file)


def as_a_cluster_does(file: Path, content: str) -> None:
    """The file is a link to one behind a link, and that is what changes."""
    version, data = file.with_name(f"..{next(_numbers)}"), file.with_name("..data")
    version.mkdir()
    (version / file.name).write_text(content)
    (fresh := file.with_name("..fresh")).symlink_to(version.name)
    fresh.replace(data)
    if not file.is_symlink():
        file.symlink_to(f"{data.name}/{file.name}")


def children(service: Service) -> set[int]:
    return {int(pid) for pid in Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()}


def ready_worker(service: Service) -> str | None:
    """Which worker: each begins the ids of its requests with a word of its own.  None: one that ends or begins."""
    try:
        with urllib.request.urlopen(f"{service.url}/readyz", timeout=5.0) as answer:
            return str(answer.headers["X-Request-Id"]).partition("-")[0]
    except OSError:
        return None


def use(service: Service, text: str) -> int:
    return post(f"{service.url}/v1/tokens/use", ADMIN, {"token": text})[0]


def issue(service: Service) -> str:
    status, issued = post(f"{service.url}/v1/tokens", ADMIN, {"owner": "ann"})
    assert status == 201
    return str(issued["token"])


def signed_by(key: str, text: str) -> bool:
    try:
        Texts([key]).open(text)
    except Malformed:
        return False
    return True


@pytest.fixture
def serving(store: Server, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    running: list[Service] = []

    def start(write: Write, **settings: Any) -> Service:
        write(tmp_path / "keys", OLD)
        service = Service(redis_url=store.url, admin_token=ADMIN, signing_keys_file=tmp_path / "keys", **settings)
        running.append(service)
        return service.start()

    yield start
    for service in running:
        service.close()


@pytest.mark.parametrize("write", [in_place, by_another_file, as_a_cluster_does])
async def test_a_new_key_signs_and_the_old_one_opens_until_it_is_removed(
    serving: Callable[..., Service], tmp_path: Path, write: Write
) -> None:
    service = serving(write)
    old = issue(service)

    write(tmp_path / "keys", f"{NEW},{OLD}")
    await wait_until(lambda: signed_by(NEW, issue(service)), WAIT_S)
    new = issue(service)
    both = use(service, old), use(service, new)
    write(tmp_path / "keys", NEW)
    await wait_until(lambda: use(service, old) == 401, WAIT_S)

    assert both == (200, 200)
    assert use(service, new) == 200
    assert "the signing keys have changed" in service.said()
    assert not [key for key in (OLD, NEW, old, new) if key in service.said()]


async def test_a_file_that_is_wrong_changes_nothing_and_is_told_of_once(
    serving: Callable[..., Service], tmp_path: Path
) -> None:
    service, file = serving(in_place), tmp_path / "keys"
    old = issue(service)

    for content, sentence in ((UNFIT, "that does not fit"), ("", "names an empty file"), (None, "that can be read")):
        file.unlink() if content is None else file.write_text(content)
        await wait_until(lambda sentence=sentence: sentence in service.said(), WAIT_S)  # type: ignore[misc]
    meanwhile = use(service, old), signed_by(OLD, issue(service))
    file.write_text(f"{NEW},{OLD}")
    await wait_until(lambda: signed_by(NEW, issue(service)), WAIT_S)

    assert meanwhile == (200, True)
    assert service.said().count("the signing keys stay as they were") == 3
    assert UNFIT not in service.said()


async def test_a_worker_that_takes_the_place_of_another_has_the_keys_of_the_others(
    serving: Callable[..., Service], tmp_path: Path
) -> None:
    service = serving(in_place, workers=2)
    in_place(tmp_path / "keys", NEW)
    await wait_until(lambda: all(signed_by(NEW, issue(service)) for _ in range(AT_ONCE)), WAIT_S)
    text = issue(service)
    known = {ready_worker(service) for _ in range(AT_ONCE)}

    os.kill(min(children(service)), signal.SIGKILL)
    await wait_until(lambda: ready_worker(service) not in {None, *known}, WAIT_S)
    answers = {use(service, text) for _ in range(AT_ONCE)}

    assert len(known) == 2
    assert answers == {200}


async def test_every_worker_follows(serving: Callable[..., Service], tmp_path: Path) -> None:
    service = serving(in_place, workers=2)
    old = [issue(service) for _ in range(AT_ONCE)]

    in_place(tmp_path / "keys", NEW)

    await wait_until(lambda: all(signed_by(NEW, issue(service)) for _ in range(AT_ONCE)), WAIT_S)
    await wait_until(lambda: {use(service, text) for text in old} == {401}, WAIT_S)
