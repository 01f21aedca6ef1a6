"""A service with its probes and metrics apart, and what makes it tell of all that alerts and panels are about."""

import json
import time
import urllib.error
import urllib.request

import redis

from tests.servers import Server, Service, free_port

ADMIN = "tl_admin_of-the-tests-of-deploy"
KEYS = "a signing key of the tests"


def post(url: str, token: str, body: object) -> tuple[int, dict[str, object]]:
    """The status and the JSON of the answer."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10.0) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def get(url: str, token: str = ADMIN) -> str:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10.0) as answer:
        text: str = answer.read().decode()
        return text


def scrape(service: Service) -> str:
    return get(f"http://127.0.0.1:{service.ops_port}/metrics")


def on(store: Server) -> Service:
    return Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN, ops_port=free_port())


def work(service: Service, store: Server) -> None:
    """Whatever alerts and panels are about: each verdict, failure and route that they name."""
    tokens = f"{service.url}/v1/tokens"
    get(f"{service.url}/v1/events")
    service.status("/livez")
    _, issued = post(tokens, ADMIN, {"owner": "ann"})
    for text in (issued["token"], "tl_nobody"):
        post(f"{tokens}/use", ADMIN, {"token": text})
    post(tokens, ADMIN, {"owner": "ann", "life_ms": 1})
    deadline = time.monotonic() + 20.0
    while 'tokenlife_sweep_tokens_total{what="marked"} 0.0' in scrape(service):
        assert time.monotonic() < deadline, "the short life was never swept"
    with redis.Redis.from_url(store.url) as connection:
        connection.config_set("maxmemory", 1)
        assert post(tokens, ADMIN, {"owner": "ann"})[0] == 503
        connection.config_set("maxmemory", 0)
    store.pause()
    assert post(f"{tokens}/use", ADMIN, {"token": issued["token"]})[0] == 503
    store.resume()
