"""Debian's Chromium without a screen, driven by its own protocol: what a person with a keyboard can do, and see."""

import asyncio
import base64
import http.client
import itertools
import json
from contextlib import closing
from typing import Any, Self

import aiohttp

from tests.servers import Child, free_port, wait_until

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
KEYS = {
    "Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, ""), "Space": (32, " "), "ArrowDown": (40, ""),
    "ArrowUp": (38, ""), "Backspace": (8, ""),
}  # fmt: skip
SHIFT = 8
PATIENCE_S = 15.0


class Chromium(Child):
    """One browser with a profile of its own."""

    def __init__(self) -> None:
        super().__init__([])
        self.port = free_port()
        profile = f"--user-data-dir={self.room / 'profile'}"
        self.command = ["chromium", *FLAGS, profile, f"--remote-debugging-port={self.port}", "about:blank"]

    def ready(self) -> bool:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=2.0)) as connection:
            try:
                connection.request("GET", "/json/version")
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False


class Page:
    """One tab.  `said` is what its console and its policies complain of, `asked` every URL that it asked for."""

    def __init__(self, http_: aiohttp.ClientSession, port: int, url: str) -> None:
        self._http, self._port, self.url = http_, port, url
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self.said: list[str] = []
        self.asked: list[str] = []

    async def __aenter__(self) -> Self:
        async with self._http.put(f"http://127.0.0.1:{self._port}/json/new?about:blank") as answer:
            self._target = await answer.json()
        self._socket = await self._http.ws_connect(self._target["webSocketDebuggerUrl"], max_msg_size=0)
        self._reader = asyncio.ensure_future(self._read())
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            await self.tell(f"{domain}.enable")
        await self.look("light", 1280, 900)
        return self

    async def __aexit__(self, *_: object) -> None:
        async with self._http.put(f"http://127.0.0.1:{self._port}/json/close/{self._target['id']}"):
            await self._socket.close()
        await asyncio.wait({self._reader})

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._waiting.pop(told["id"]).set_result(told)
            elif told["method"] == "Network.requestWillBeSent":
                self.asked.append(told["params"]["request"]["url"])
            elif told["method"] in {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}:
                self.said.append(json.dumps(told["params"]))

    async def tell(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        self._waiting[number] = answer = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        told = await asyncio.wait_for(answer, PATIENCE_S)
        assert "error" not in told, told
        return told["result"]

    async def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = await self.tell("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, script: str) -> None:
        await wait_until(lambda: self.run(script), PATIENCE_S)

    async def open(self, path: str) -> None:
        await self.tell("Page.navigate", url=self.url + path)
        await self.until(f"location.pathname === '{path}' && document.readyState === 'complete'")

    async def look(self, scheme: str, width: int, height: int) -> None:
        await self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                        mobile=width < 600)  # fmt: skip
        await self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def press(self, *keys: str, shift: bool = False) -> None:
        for key in keys:
            code, text = KEYS[key]
            known = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": code,
                     "modifiers": SHIFT if shift else 0}  # fmt: skip
            await self.tell("Input.dispatchKeyEvent", type="keyDown", **known, **({"text": text} if text else {}))
            await self.tell("Input.dispatchKeyEvent", type="keyUp", **known)

    async def type(self, text: str) -> None:
        await self.tell("Input.insertText", text=text)

    async def tab_to(self, script: str) -> None:
        """Tabs on until the condition about `it`, what has the focus, is true."""
        for _ in range(80):
            await self.press("Tab")
            if await self.run(f"(it => !!({script}))(document.activeElement)"):
                return
        raise AssertionError(f"no key leads to {script}")

    async def text(self, selector: str) -> str:
        return str(await self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    async def tree(self) -> list[tuple[str, str]]:
        """What a screen reader is given: role and name of everything that it does not pass over."""
        nodes = (await self.tell("Accessibility.getFullAXTree"))["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]

    async def picture(self) -> bytes:
        return base64.b64decode((await self.tell("Page.captureScreenshot", format="png"))["data"])
