"""The two servers that `use` is held against; run as `python -m tests.bench.rivals.plain PORT SOCKET`.

`bare` does nothing: an aiohttp handler and a small JSON answer, with and without reading a body.
`naive` is what one writes first: look up and renew by one GETEX per request through redis-py's
pool.  Both live in one process, as the service does, and only one of them is asked at a time.
"""

import sys

import msgspec
import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler
from redis.asyncio import BlockingConnectionPool, Redis

NAIVE_DB = 1  # of the same store: the service has database 0
LIFE_MS = 1_800_000
_ANSWER = b'{"id":"00000000-0000-0000-0000-000000000000","state":"active","remaining_ms":1800000}'


class Presented(msgspec.Struct):
    token: str


def answer(status: int = 200) -> web.Response:
    return web.Response(body=_ANSWER, status=status, content_type="application/json")


async def bare(_request: web.Request) -> web.Response:
    return answer()


async def bare_with_body(request: web.Request) -> web.Response:
    msgspec.json.decode(await request.read(), type=Presented)
    return answer()


def naive(store: Redis) -> Handler:
    async def use(request: web.Request) -> web.Response:
        presented = msgspec.json.decode(await request.read(), type=Presented)
        found = await store.getex(presented.token, px=LIFE_MS)
        return answer(200 if found else 401)

    return use


def application(store: Redis) -> web.Application:
    app = web.Application()
    app.router.add_get("/bare", bare)
    app.router.add_post("/bare", bare_with_body)
    app.router.add_post("/naive", naive(store))
    return app


def main(port: int, socket: str) -> None:
    # 32: the fastest of 8, 16, 32 and 64, so the naive way is shown at its best.
    pool = BlockingConnectionPool.from_url(f"unix://{socket}?db={NAIVE_DB}", max_connections=32)
    uvloop.install()
    web.run_app(application(Redis(connection_pool=pool)), host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
