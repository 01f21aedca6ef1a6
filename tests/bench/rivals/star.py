"""starsessions on Starlette and uvicorn: GET, then SET EX, since `rolling` renews; run as `star.py PORT SOCKET DB`."""

import sys
import uuid

import uvicorn
from redis.asyncio import BlockingConnectionPool, Redis
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starsessions import SessionAutoloadMiddleware, SessionMiddleware
from starsessions.stores.redis import RedisStore

LIFE_S = 1800


async def login(request: Request) -> JSONResponse:
    request.session["user"] = str(uuid.uuid4())
    return JSONResponse({})


async def session(request: Request) -> JSONResponse:
    user = request.session.get("user")
    return JSONResponse({"user": user}, status_code=200 if user else 401)


def application(socket: str, database: str) -> Starlette:
    # As the naive handler: the fastest of 8, 16, 32 and 64.
    pool = BlockingConnectionPool.from_url(f"unix://{socket}?db={database}", max_connections=32)
    rolling = Middleware(
        SessionMiddleware,
        store=RedisStore(connection=Redis(connection_pool=pool)),
        lifetime=LIFE_S,
        rolling=True,
        cookie_https_only=False,
    )
    routes = [Route("/login", login, methods=["POST"]), Route("/session", session)]
    return Starlette(routes=routes, middleware=[rolling, Middleware(SessionAutoloadMiddleware)])


if __name__ == "__main__":
    port, where, number = sys.argv[1:]
    uvicorn.run(application(where, number), host="127.0.0.1", port=int(port), log_level="warning", access_log=False)
