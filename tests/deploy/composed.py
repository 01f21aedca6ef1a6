"""What compose.yaml starts, started without containers: the same words, environments and secrets, in other places."""

from pathlib import Path
from typing import Any

from tests.deploy.reading import DEPLOY, image_environment, steps, whole
from tests.servers import Child, Server, Service, binaries, free_port

COMPOSE = DEPLOY / "compose.yaml"
SECRETS = "/run/secrets/"


def services() -> dict[str, Any]:
    found: dict[str, Any] = whole(COMPOSE)["services"]
    return found


class ComposedStore(Server):
    """On a port and in a directory of its own, but for that as Compose would start it."""

    def __init__(self, secrets: Path) -> None:
        super().__init__(tcp=True)
        program, *words = services()["tokenlife-redis"]["command"]
        assert program == "valkey-server"
        words = [word.replace(SECRETS, f"{secrets}/") for word in words]
        here = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.room)]
        self.command = [binaries()["valkey"], *words, *here]


class ComposedService(Service):
    """As image and Compose say, but for the address, the ports and the place of the secrets."""

    def __init__(self, secrets: Path) -> None:
        super().__init__(ops_port=free_port())
        Child.__init__(self, [*self.command[:3], *steps("CMD")[0].words])
        given = image_environment() | services()["tokenlife"]["environment"]
        ours = {name: value for name, value in given.items() if name.startswith("TOKENLIFE_")}
        here = {
            "TOKENLIFE_HOST": "127.0.0.1",
            "TOKENLIFE_PORT": str(self.port),
            "TOKENLIFE_OPS_PORT": str(self.ops_port),
            "TOKENLIFE_DATA_DIR": str(self.room / "data"),
        }
        self.environment = {name: value.replace(SECRETS, f"{secrets}/") for name, value in (ours | here).items()}
