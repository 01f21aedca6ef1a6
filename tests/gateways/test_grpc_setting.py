"""Envoy's Check over gRPC is an extra: a start that cannot serve it says so."""

import contextlib
import socket
import sys

import pytest

from service import workers
from service.doors import Doors
from service.settings import Settings
from tests.servers import free_port


def test_a_port_for_grpc_without_the_extra_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)

    code = workers.serve(Settings(grpc_port=free_port()))

    assert code == 1
    assert "TOKENLIFE_GRPC_PORT needs an extra: pip install 'tokenlife[grpc]'" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told_before_grpc_does() -> None:
    with contextlib.ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            Doors(Settings(port=0, grpc_port=port), stack)
