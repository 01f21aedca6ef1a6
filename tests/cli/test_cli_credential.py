"""The verb credential, as somebody types it and then pastes what it shows."""

import json
import shlex
import urllib.request
from base64 import b64encode
from typing import Any

import pytest

from service.client import Client
from tests.cli.conftest import Run, on
from tests.servers import Server

PARTS = {
    "wepay": ["app_id", "app_token"],
    "sarus": ["api_key"],
    "taler": ["username", "password"],
    "onespan": ["authorization"],
}
# Where the answer to the call that is shown has the text of a token.
FOUND: dict[str, list[Any]] = {
    "wepay": ["session_token"],
    "sarus": ["Result", "SessionToken"],
    "taler": ["access_token"],
    "onespan": ["tokens", 0, "token"],
}


def pasted(line: str) -> Any:
    """What the shell and curl make of a line: `-s URL` and then `-X -H -d -u`, and no other option."""
    command, silent, url, *words = shlex.split(line)
    assert (command, silent) == ("curl", "-s")
    options = list(zip(words[::2], words[1::2], strict=True))
    given = dict(options)
    headers = dict(value.split(": ", 1) for name, value in options if name == "-H")
    if "-u" in given:
        headers["Authorization"] = "Basic " + b64encode(given["-u"].encode()).decode()
    assert given.keys() <= {"-X", "-H", "-d", "-u"}
    data = given["-d"].encode() if "-d" in given else None
    request = urllib.request.Request(url, data, headers, method=given.get("-X"))
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())


@pytest.mark.parametrize("dialect", PARTS)
async def test_the_call_that_is_shown_works_when_it_is_pasted(tokenlife: Run, client: Client, dialect: str) -> None:
    done = tokenlife("credential", dialect, "--tenant", "shop")

    *parts, line = done.stdout.splitlines()
    answer = pasted(line)
    for key in FOUND[dialect]:
        answer = answer[key]
    assert [part.split()[0] for part in parts] == PARTS[dialect]
    assert (done.returncode, done.stderr) == (0, "")
    assert (await client.peek(answer)).tenant == "shop"


@pytest.mark.parametrize("prefix", ["/bank/v12", "bank/v12/"])
async def test_the_call_that_is_shown_works_where_the_api_is_under_a_prefix(
    tokenlife: Run, store: Server, client: Client, prefix: str
) -> None:
    with on(store, facades="taler=/bank/v12") as other:
        done = tokenlife("credential", "taler", "--prefix", prefix, TOKENLIFE_URL=other.url)

        answer = pasted(done.stdout.splitlines()[-1])

    assert (await client.peek(answer["access_token"])).type == "taler"


@pytest.mark.parametrize("dialect", PARTS)
def test_for_machines_it_is_one_object(tokenlife: Run, dialect: str) -> None:
    done = tokenlife("credential", dialect, "--tenant", "shop", "--json")

    [line] = done.stdout.splitlines()
    parts = json.loads(line)
    assert list(parts) == PARTS[dialect]
    assert all(isinstance(value, str) and value for value in parts.values())


async def test_a_token_stands_for_whom_it_is_said_and_lives_as_long(tokenlife: Run, client: Client) -> None:
    done = tokenlife("credential", "sarus", "--owner", "checkout", "--life", "90d", "--json")

    view = await client.peek(json.loads(done.stdout)["api_key"])
    assert (view.owner, view.tenant, view.type) == ("checkout", "default", "service")
    assert view.life_ms == 90 * 86_400_000
    assert list(view.scopes) == ["tokens:issue"]


async def test_without_a_life_it_lives_for_ever_but_for_onespan(tokenlife: Run, client: Client) -> None:
    wepay = json.loads(tokenlife("credential", "wepay", "--json").stdout)
    onespan = json.loads(tokenlife("credential", "onespan", "--json").stdout)

    assert (await client.peek(wepay["app_token"])).life_ms is None
    year_ms = (await client.peek(onespan["authorization"].removeprefix("Bearer "))).life_ms
    assert year_ms is not None
    assert 364 * 86_400_000 < year_ms <= 365 * 86_400_000


def test_the_username_names_the_tenant_unless_it_is_the_default_one(tokenlife: Run) -> None:
    own = json.loads(tokenlife("credential", "taler", "--owner", "ann", "--json").stdout)
    other = json.loads(tokenlife("credential", "taler", "--owner", "ann", "--tenant", "shop", "--json").stdout)

    assert (own["username"], other["username"]) == ("ann", "shop~ann")
    assert own["password"] != other["password"]


async def test_who_may_not_is_told_so(tokenlife: Run, client: Client) -> None:
    caller = await client.issue("a service", tenant="shop", type="service", scopes=["tokens:issue"])

    refused = [
        tokenlife("credential", dialect, *more, TOKENLIFE_TOKEN=caller.token or "")
        for dialect, *more in (["wepay"], ["onespan"], ["taler"], ["sarus", "--tenant", "default"])
    ]

    assert [done.returncode for done in refused] == [1] * 4
    assert all("refused (forbidden)" in done.stderr for done in refused)
    assert tokenlife("credential", "sarus", TOKENLIFE_TOKEN=caller.token or "").returncode == 0


@pytest.mark.parametrize("words", [["paypal"], [], ["taler", "--life", "1d"], ["sarus", "--life", "soon"]])
def test_wrong_words_make_nothing(tokenlife: Run, words: list[str]) -> None:
    done = tokenlife("credential", *words)

    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
