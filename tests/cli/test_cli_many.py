"""The verbs about many tokens and about what happened to them."""

import os
import pty
import signal
import subprocess
import sys

import msgspec

from service.client import Client, Event, TokenView
from tests.cli.conftest import Run
from tests.cli.test_sdk_verbs import text_of
from tests.servers import ROOT

Lines = list[str]


def lines(text: str) -> Lines:
    return text.splitlines()


def ids(text: str) -> Lines:
    return [msgspec.json.decode(line, type=TokenView).id for line in lines(text)]


async def test_list_is_a_table_with_what_remains_as_a_bar(client: Client, tokenlife: Run) -> None:
    ended = await client.issue("tabea")
    await client.revoke(text_of(ended))
    await client.issue("tabea", life_ms=None)

    head, live, final = lines(tokenlife("list", "--owner", "tabea").stdout)

    assert max(map(len, (head, live, final))) <= 120
    assert head.split() == ["OWNER", "TYPE", "STATE", "REMAINING", "USES", "CREATED", "ID"]
    assert live.split()[:6] == ["tabea", "session", "active", "█" * 12, "for", "ever"]
    assert final.split()[:4] == ["tabea", "session", "revoked", "request"]
    assert head.index("USES") == live.index(" 0 ") + 1 == final.index(" 0 ") + 1


async def test_list_in_json_is_a_token_a_line(client: Client, tokenlife: Run) -> None:
    made = [await client.issue("jason") for _ in range(3)]

    newest = ids(tokenlife("list", "--owner", "jason", "--json").stdout)
    oldest = ids(tokenlife("list", "--owner", "jason", "--json", "--oldest", "--all").stdout)

    assert oldest == [token.id for token in made]
    assert newest == oldest[::-1]


async def test_list_says_when_there_is_more(client: Client, tokenlife: Run) -> None:
    for _ in range(3):
        await client.issue("maude")

    cut, whole = tokenlife("list", "--owner", "maude", "--limit", "2"), tokenlife("list", "--owner", "maude")

    assert (len(lines(cut.stdout)), len(lines(whole.stdout))) == (3, 4)
    assert "first 2" in cut.stderr
    assert whole.stderr == ""


async def test_a_long_owner_does_not_push_the_rest_off_the_screen(client: Client, tokenlife: Run) -> None:
    token = await client.issue("o" * 200)

    line = lines(tokenlife("list", "--owner", "o" * 200).stdout)[1]

    assert line.startswith("o" * 39 + "…  session")
    assert line.endswith(token.id)


async def test_an_owner_cannot_draw_on_the_terminal_of_whoever_lists(client: Client, tokenlife: Run) -> None:
    await client.issue("evil\N{RIGHT-TO-LEFT OVERRIDE}\N{ZERO WIDTH SPACE}eve", type="drawn")

    shown = tokenlife("list", "--type", "drawn").stdout

    assert "evil\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}eve" in shown


async def test_count_adds_up(client: Client, tokenlife: Run) -> None:
    first, _ = await client.issue("conny", type="a"), await client.issue("conny", type="b")
    await client.revoke(text_of(first))

    shown = [line.split() for line in lines(tokenlife("count", "--owner", "conny").stdout)]

    assert shown == [
        ["state", "active", "1"], ["state", "revoked", "1"], ["type", "a", "1"], ["type", "b", "1"], ["total", "2"],
    ]  # fmt: skip
    assert msgspec.json.decode(tokenlife("count", "--owner", "conny", "--json").stdout)["total"] == 2


async def test_revoke_ends_what_an_owner_has_however_much_it_is(client: Client, tokenlife: Run) -> None:
    """One call of the service ends 500 of them."""
    spared = await client.issue("olga")
    for _ in range(1_002):
        await client.issue("olga")
    other = await client.issue("olga", type="other")
    words = "revoke", "--owner", "olga", "--type", "session", "--except", spared.id

    would = tokenlife(*words, "--dry-run")
    done = tokenlife(*words)

    assert would.stdout == "at least 500 of olga's session tokens would be revoked\n"
    assert done.stdout == "1,002 of olga's session tokens were revoked\n"
    assert {view.id async for view in client.list(owner="olga", state="active")} == {spared.id, other.id}


async def test_on_a_terminal_an_owners_tokens_are_asked_about_first(
    client: Client, environment: dict[str, str], tokenlife: Run
) -> None:
    kept, ended = await client.issue("asked"), await client.issue("asked too")

    no, yes = answered("n", "asked", environment), answered("y", "asked too", environment)

    assert (no.returncode, yes.returncode) == (2, 0)
    assert "nothing was revoked" in no.stderr
    assert "1 of asked too's tokens were revoked" in yes.stdout
    assert (await client.get(kept.id)).active
    assert not (await client.get(ended.id)).active
    assert tokenlife("revoke", "--owner", "asked", "--yes").returncode == 0


def answered(answer: str, owner: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    person, terminal = pty.openpty()
    os.write(person, f"{answer}\n".encode())
    try:
        return subprocess.run(
            [sys.executable, "-m", "service", "revoke", "--owner", owner],
            cwd=ROOT, env=environment, stdin=terminal, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(person)
        os.close(terminal)


async def test_events_are_printed_for_people_and_for_machines(client: Client, tokenlife: Run) -> None:
    token = await client.issue("erna", type="otp")
    await client.revoke(text_of(token))

    shown = tokenlife("events", "--owner", "erna").stdout
    first, second = lines(tokenlife("events", "--owner", "erna", "--json").stdout)
    only = lines(tokenlife("events", "--owner", "erna", "--type", "revoked").stdout)

    assert [line.split()[1:5] for line in lines(shown)] == [
        ["issued", "otp", "erna", token.id], ["revoked", "otp", "erna", token.id],
    ]  # fmt: skip
    assert [msgspec.json.decode(one, type=Event).kind for one in (first, second)] == ["issued", "revoked"]
    assert only == lines(shown)[1:]


async def test_events_followed_come_as_they_happen(client: Client, environment: dict[str, str]) -> None:
    before = (await client.events_page("now")).next
    following = started("events", "--follow", "--after", before, "--owner", "fee", "--json", env=environment)
    try:
        token = await client.issue("fee")
        assert following.stdout
        event = msgspec.json.decode(following.stdout.readline(), type=Event)

        following.send_signal(signal.SIGINT)
        _, said = following.communicate(timeout=20)
    finally:
        following.kill()

    assert (event.subject, event.kind) == (token.id, "issued")
    assert event.cursor
    assert (following.returncode, said) == (130, "")


def started(*words: str, env: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "service", *words],
        cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


async def test_a_reader_that_has_seen_enough_is_no_error(client: Client, environment: dict[str, str]) -> None:
    for _ in range(200):  # more than a pipe holds
        await client.issue("piper", description="x" * 500)
    listing = started("list", "--owner", "piper", "--json", "--all", env=environment)
    assert listing.stdout
    assert listing.stderr

    listing.stdout.readline()
    listing.stdout.close()

    with listing.stderr as complaints:
        assert complaints.read() == ""
    assert listing.wait(20) == 0
