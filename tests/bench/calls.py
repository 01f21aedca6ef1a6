"""The requests of the bench as byte strings, and the tokens they need, issued through the public API."""

import random
from collections import Counter
from typing import Any

import msgspec

from tests.bench.load import Plan, attempt, send
from tests.bench.servers import ADMIN

BATCH = 1_000  # the most that one call takes
AT_ONCE = 5_000  # tokens issued by one run of the generator, which gives up after a minute


def request(method: str, path: str, bearer: str = "", body: object = None) -> bytes:
    payload = b"" if body is None else msgspec.json.encode(body)
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    head += [f"Authorization: Bearer {bearer}"] if bearer else []
    head += ["Content-Type: application/json", f"Content-Length: {len(payload)}"] if payload else []
    return "\r\n".join([*head, "", ""]).encode() + payload


def issue(port: int, bodies: list[dict[str, Any]]) -> list[str]:
    """One token for each body; the texts in no particular order."""
    requests = [request("POST", "/v1/tokens", ADMIN, body) for body in bodies]
    plans = [Plan(port, requests[at : at + AT_ONCE], status=201, once=True) for at in range(0, len(requests), AT_ONCE)]
    return [msgspec.json.decode(answer)["token"] for plan in plans for answer in send(plan).bodies]


def caller(port: int) -> str:
    """A service's own token, allowed to use and nothing else."""
    return issue(port, [{"owner": "bench", "type": "service", "scopes": ["tokens:use"]}])[0]


def sessions(port: int, count: int) -> list[str]:
    tokens = issue(port, [{"owner": f"owner-{n}"} for n in range(count)])
    random.Random(1).shuffle(tokens)
    return tokens


def posts(path: str, bearer: str, tokens: list[str]) -> list[bytes]:
    return [request("POST", path, bearer, {"token": token}) for token in tokens]


def gateway_uses(tokens: list[str]) -> list[bytes]:
    return [request("GET", "/gateway/use", token) for token in tokens]


def unseen(requests: list[bytes], times: int = 10) -> list[bytes]:
    """Each so many times, and each time with an `X-Request-Id` of its own: none is known by its bytes."""
    numbered = enumerate(requests * times)
    return [request.replace(b"\r\n\r\n", b"\r\nX-Request-Id: bench-%d\r\n\r\n" % n, 1) for n, request in numbered]


def batches(bearer: str, tokens: list[str]) -> list[bytes]:
    whole = zip(*[iter(tokens)] * BATCH, strict=True)
    return [request("POST", "/v1/tokens/batch", bearer, {"verb": "use", "tokens": some}) for some in whole]


def granted(port: int, asked: bytes) -> bool:
    """Whether the answer is 200; an endpoint that is not served is left out of the bench."""
    return not attempt(Plan(port, [asked], lanes=1, once=True)).wrong


def check_batch(port: int, batch: bytes) -> None:
    """A batch answers 200 whatever became of its tokens, so the results of one are looked at."""
    body = send(Plan(port, [batch], lanes=1, once=True)).bodies[0]
    states = [result.get("state") for result in msgspec.json.decode(body)["results"]]
    if states != ["active"] * BATCH:
        raise SystemExit(f"bench: a batch of live tokens was answered {Counter(states)}")
