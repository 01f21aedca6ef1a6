"""Starts what a service needs, then the process that serves, or several on one port.

With a store of its own, or with several workers, this process only minds them: a worker or a store that dies is
replaced.  It runs no event loop and no thread, so that forking is safe.
"""

import contextlib
import ctypes
import gc
import logging
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvloop

from service import __version__, logs
from service.app import Service, Start, WrongStore
from service.doors import Doors, allow_files
from service.settings import Settings, SettingsError, share_metrics, signing_keys
from service.store import urls
from service.store.embedded import Embedded, EmbeddedError, data_secret

LOOK_S = 0.05  # between two looks at the children
YOUNG_S = 1.0  # one that dies younger is replaced after a pause of as long, so that a broken start does not spin
STOPS = (signal.SIGTERM, signal.SIGINT)
PR_SET_PDEATHSIG = 1
WRONG = 3  # the exit code of a worker that cannot work with this store: replacing it would not help

__all__ = ["EmbeddedError", "WrongStore", "serve", "sweep"]

log = logging.getLogger("service.workers")


def serve(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT; the exit code.  Raises `SettingsError`."""
    _check_url(settings)
    if settings.grpc_port is not None and find_spec("grpc") is None:
        sys.stderr.write("tokenlife: TOKENLIFE_GRPC_PORT needs an extra: pip install 'tokenlife[grpc]'\n")
        return 1
    logs.configure(settings.log_format, settings.log_level)
    allow_files()
    with contextlib.ExitStack() as stack:
        try:
            doors = Doors(settings, stack)
            embedded = None if settings.redis_url else stack.enter_context(_embedded(settings.data_dir))
            start, made = _start(settings, embedded)
            if settings.workers > 1:
                start = msgspec.structs.replace(start, metrics=stack.enter_context(_shared_metrics()))
        except (EmbeddedError, OSError) as error:
            sys.stderr.write(f"tokenlife: {error}\n")
            return 1
        banner = _banner(settings, doors, embedded, made)
        if embedded is None and settings.workers == 1:
            return 1 if _work(settings, start, doors, banner) else 0
        return Crew(settings, start, doors, banner, embedded).run()


def sweep(settings: Settings) -> dict[str, int]:
    """Passes until nothing is due, without a service.  Raises `EmbeddedError`, `WrongStore`, `SettingsError`."""
    _check_url(settings)
    with contextlib.ExitStack() as stack:
        embedded = None if settings.redis_url else stack.enter_context(_embedded(settings.data_dir))
        start, _ = _start(settings, embedded)

        async def swept() -> dict[str, int]:
            return await Service(settings, start).sweep()

        return uvloop.run(swept())


def _check_url(settings: Settings) -> None:
    try:
        urls.read(settings.redis_url or "redis://")
    except WrongStore as error:
        raise SettingsError(str(error)) from None


class Crew:
    """The workers, and the embedded store if there is one.  Each has a place; one that dies leaves it vacant."""

    def __init__(self, settings: Settings, start: Start, doors: Doors, banner: str, embedded: Embedded | None) -> None:
        self._settings, self._start, self._doors, self._embedded = settings, start, doors, embedded
        self._banner = banner
        self._born: dict[int, tuple[int, float]] = {}  # by process id: its place, and when
        self._vacant = dict.fromkeys(range(settings.workers), 0.0)  # by place: when to fill it
        self._stopping = self._told = False
        self._code = 0

    def run(self) -> int:
        for which in STOPS:
            signal.signal(which, self._stop)
        while self._born or not self._stopping:
            if self._stopping:
                self._tell()
            else:
                self._fill()
            time.sleep(LOOK_S)
            for pid in list(self._born):
                self._look_at(pid)
            if self._embedded is not None and not self._stopping:
                self._revive(self._embedded)
        return self._code

    def _stop(self, *_: object) -> None:
        self._stopping = True  # no more in a handler: the loop may be anywhere

    def _tell(self) -> None:
        """Once: a second SIGTERM would cut a worker short that is about to end."""
        for pid in () if self._told else self._born:
            os.kill(pid, signal.SIGTERM)
        self._told = True

    def _fill(self) -> None:
        for place, when in list(self._vacant.items()):
            if when <= time.monotonic():
                del self._vacant[place]
                self._fork(place)

    def _look_at(self, pid: int) -> None:
        done, status = os.waitpid(pid, os.WNOHANG)
        if not done:
            return
        (place, born), code = self._born.pop(pid), os.waitstatus_to_exitcode(status)
        young = time.monotonic() - born < YOUNG_S
        self._vacant[place] = time.monotonic() + (YOUNG_S if young else 0)
        if self._stopping:
            self._code = self._code or int(code not in (0, -signal.SIGTERM))  # the latter was still starting
        elif code == WRONG:
            self._code, self._stopping = 1, True
        else:
            log.error("a worker died and is replaced", extra={"pid": pid, "exit_code": code})

    def _revive(self, embedded: Embedded) -> None:
        if embedded.running:
            return
        log.error("the embedded store died and is started again")
        try:
            embedded.start()
        except EmbeddedError as error:
            sys.stderr.write(f"tokenlife: {error}\n")
            self._code, self._stopping = 1, True

    def _fork(self, place: int) -> None:
        # A signal that comes before the child has handlers of its own waits until it has.
        parent, before = os.getpid(), signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._born[pid], self._banner = (place, time.monotonic()), ""
            return
        code = 1
        try:
            for number in STOPS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _die_with(parent)
            start = msgspec.structs.replace(self._start, place=place, signing_keys=_keys_now(self._start))
            code = _work(self._settings, start, self._doors, self._banner)
        except Exception as error:  # whatever it is: nobody else would tell
            log.critical("a worker ends by a fault", exc_info=error)
        finally:
            os._exit(code)


def _work(settings: Settings, start: Start, doors: Doors, banner: str) -> int:
    """One process that serves; its exit code."""
    gc.set_threshold(20_000)  # who waits for one call of the store are more than the usual 700 objects: 4 %
    try:
        uvloop.run(Service.serve(settings, start, doors.open(), lambda: banner and print(banner, flush=True)))
    except WrongStore as error:
        sys.stderr.write(f"tokenlife: {error}\n")
        return WRONG
    return 0


def _keys_now(start: Start) -> tuple[str, ...]:
    """One that takes another's place begins with the keys that the others have by now."""
    with contextlib.suppress(SettingsError):
        return signing_keys() or start.signing_keys
    return start.signing_keys


def _die_with(parent: int) -> None:
    """A worker does not outlive the process that minds it (Linux; elsewhere it would have to be ended by hand)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@contextlib.contextmanager
def _embedded(data_dir: Path) -> Iterator[Embedded]:
    embedded = Embedded(data_dir)
    embedded.start()
    try:
        yield embedded
    finally:
        embedded.stop()


@contextlib.contextmanager
def _shared_metrics() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="tokenlife-metrics-") as folder:
        share_metrics(folder)
        yield folder


def _start(settings: Settings, embedded: Embedded | None) -> tuple[Start, bool]:
    """The store and the secrets, and whether the admin token was made just now."""
    if embedded is None:
        return Start(settings.redis_url or "", settings.signing_keys, settings.admin_token), False
    kept, _ = data_secret(embedded.data_dir, "signing-key", lambda: secrets.token_urlsafe(48))
    made = False
    admin = settings.admin_token
    if admin is None:
        admin, made = data_secret(embedded.data_dir, "admin-token", lambda: "tl_admin_" + secrets.token_urlsafe(32))
    return Start(embedded.url, settings.signing_keys or (kept,), admin), made


def _banner(settings: Settings, doors: Doors, embedded: Embedded | None, made: bool) -> str:
    url = f"http://{settings.host}:{doors.ports[0]}"
    store = embedded.describe() if embedded else _without_secrets(settings.redis_url or "")
    lines = [f"tokenlife {__version__} serves on {url}", f"store: {store}"]
    bearer = "$TOKENLIFE_ADMIN_TOKEN"
    if embedded and settings.admin_token is None:
        file = embedded.data_dir / "admin-token"
        bearer = file.read_text().strip() if made else f"$(cat {file})"
        lines.append(f"admin token: {bearer} (made now, kept in {file})" if made else f"admin token: kept in {file}")
    elif settings.admin_token is None:
        lines.append("admin token: none is set, so only tokens issued before can call; set TOKENLIFE_ADMIN_TOKEN")
    lines.append(
        f"try: curl -s {url}/v1/tokens -H 'Content-Type: application/json'"
        f' -H "Authorization: Bearer {bearer}" -d \'{{"owner": "ann"}}\''
    )
    return "\n".join(lines)


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    # An option may be a password too.
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
