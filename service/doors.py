"""The sockets that the service listens on, and how many may be open."""

import contextlib
import resource
import socket

from service.settings import Settings

FILES = 65_536  # a connection each; some systems allow a process many more, and some programs walk over all of them


def allow_files() -> None:
    """Many systems give a process 1,024 open files until it asks for those that it may have."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(most, FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has limits beside this one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class Doors:
    """The sockets to listen on.  Of many workers each opens its own on the same port (SO_REUSEPORT), and the kernel
    spreads the connections; the ones held here only keep the port."""

    def __init__(self, settings: Settings, stack: contextlib.ExitStack) -> None:
        self._host, self._stack = settings.host, stack
        self._held = [self._hold(port) for port in (settings.port, settings.ops_port) if port is not None]
        if settings.grpc_port is not None:  # gRPC binds for itself, and would say less when it cannot
            self._bind(settings.grpc_port, shared=False).close()
        self.ports: list[int] = [door.getsockname()[1] for door in self._held]

    def open(self) -> list[socket.socket]:
        """For this process: the one for requests, then the one for operations if it is apart."""
        return [self._bind(port) for port in self.ports]

    def _hold(self, port: int) -> socket.socket:
        # Sharing would also let a second service in, and the kernel would give each of them half of the requests.
        self._bind(port, shared=False).close()
        return self._bind(port)

    def _bind(self, port: int, *, shared: bool = True) -> socket.socket:
        door = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_STREAM)
        self._stack.enter_context(door)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        try:
            door.bind((self._host, port))
        except OSError as error:
            raise OSError(f"cannot listen on {self._host}:{port}: {error.strerror}") from None
        door.setblocking(False)
        return door
