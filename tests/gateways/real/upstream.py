"""The application behind a gateway: it answers with what reached it.  `python -m tests.gateways.real.upstream PORT`"""

import asyncio
import sys

import msgspec
from aiohttp import web


class Seen(msgspec.Struct, frozen=True):
    """One request as the application had it."""

    method: str
    target: str
    identity: list[tuple[str, str]]  # all headers whose name may be taken for X-Token-*
    body_bytes: int


def is_identity(name: str) -> bool:
    return name.lower().replace("_", "-").startswith("x-token")


async def echo(request: web.BaseRequest) -> web.Response:
    body = await request.read()
    identity = [(f"{name}", value) for name, value in request.headers.items() if is_identity(name)]
    seen = msgspec.json.encode(Seen(request.method, request.raw_path, identity, len(body)))
    return web.Response(body=seen, content_type="application/json", headers={"X-Application": "reached"})


async def main(port: int) -> None:
    runner = web.ServerRunner(web.Server(echo, client_max_size=2**24, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
