"""`GET /docs` and `GET /console`: one file each, with no other host and nothing that could load one.

The style and the script stand in the page, and the policy names them by their hashes: nothing else may run, and
nothing may be fetched but from this service.
"""

import base64
import hashlib
from importlib.resources import files

from aiohttp import web

from service.wire import Handler, Route


def routes() -> list[Route]:
    return [
        Route(method="GET", path="/docs", handler=_page("docs"), hidden=True),
        Route(method="GET", path="/console", handler=_page("console"), hidden=True),
    ]


def _page(name: str) -> Handler:
    folder = files("service.api") / "pages"
    style, script = (folder / "style.css").read_text(), (folder / f"{name}.js").read_text()
    html = (folder / f"{name}.html").read_text().replace("/*style*/", style).replace("/*script*/", script)
    headers = {
        "Content-Security-Policy": "; ".join(
            [
                "default-src 'none'",
                f"script-src '{_hash(script)}'",
                f"style-src '{_hash(style)}'",
                "connect-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            ]
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html", headers=headers)

    return page


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
