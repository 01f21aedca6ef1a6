"""The verbs about one token, as somebody types them."""

import os
import pty
import subprocess
import sys

import msgspec
import pytest

from tests.cli.conftest import ADMIN, ANSWER_S, Run
from tests.servers import ROOT


def issued(tokenlife: Run, *words: str) -> str:
    text: str = tokenlife("issue", "--owner", "ann", *words).stdout.strip()
    return text


def view_of(tokenlife: Run, *words: str) -> dict[str, object]:
    return msgspec.json.decode(tokenlife(*words, "--json").stdout, type=dict[str, object])


def test_issue_prints_the_text_alone_when_it_is_caught(tokenlife: Run) -> None:
    done = tokenlife("issue", "--owner", "ann")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tl_")
    assert len(done.stdout.split()) == 1


def test_issue_takes_every_word_of_a_policy(tokenlife: Run) -> None:
    view = view_of(
        tokenlife, "issue", "--owner", "ann", "--type", "otp", "--life", "1m30s", "--ceiling", "1h", "--uses", "3",
        "--fixed", "--refreshable", "--scope", "read", "--scope", "write", "--description", "by hand",
        "--metadata", '{"ip": "10.0.0.1"}', "--recoverable",
    )  # fmt: skip

    assert view["life_ms"] == 90_000
    assert (view["type"], view["uses_left"], view["sliding"], view["refreshable"]) == ("otp", 3, False, True)
    assert (view["scopes"], view["metadata"]) == (["read", "write"], {"ip": "10.0.0.1"})
    assert view["ceiling_at_ms"] == view["created_at_ms"] + 3_600_000  # type: ignore[operator]


def test_one_key_issues_one_token(tokenlife: Run) -> None:
    assert issued(tokenlife, "--key", "the key") == issued(tokenlife, "--key", "the key")


def test_a_life_may_be_for_ever(tokenlife: Run) -> None:
    assert view_of(tokenlife, "issue", "--owner", "ann", "--life", "forever")["remaining_ms"] is None


def test_use_renews_and_shows_the_token(tokenlife: Run) -> None:
    text = issued(tokenlife, "--scope", "read")

    used = tokenlife("use", text, "--scope", "read")
    peeked = view_of(tokenlife, "peek", text)

    assert used.returncode == 0
    assert "uses        1" in used.stdout
    assert "██ 30m" in used.stdout
    assert peeked["uses"] == 1


@pytest.mark.parametrize("verb", ["use", "peek", "renew", "rotate", "revoke"])
def test_a_text_may_come_from_stdin(verb: str, tokenlife: Run) -> None:
    text = issued(tokenlife)

    done = tokenlife(verb, "-", given=text + "\n")

    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_on_stdin_is_no_text(tokenlife: Run) -> None:
    done = tokenlife("use", "-")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tokenlife: token: is empty: nothing came in on stdin\n"


@pytest.mark.parametrize("verb", ["peek", "renew", "revoke"])
def test_a_handle_stands_for_the_text(verb: str, tokenlife: Run) -> None:
    id_ = view_of(tokenlife, "issue", "--owner", "ann")["id"]

    assert view_of(tokenlife, verb, "--id", str(id_))["id"] == id_


def test_rotate_prints_the_new_text_and_the_old_one_works_on(tokenlife: Run) -> None:
    old = issued(tokenlife)

    new = tokenlife("rotate", old, "--overlap", "1m").stdout.strip()

    assert new.startswith("tl_")
    assert new != old
    assert tokenlife("use", old).returncode == tokenlife("use", new).returncode == 0


def test_on_a_terminal_issue_also_says_what_it_made(environment: dict[str, str]) -> None:
    seen, shown = pty.openpty()

    done = subprocess.run(
        [sys.executable, "-m", "service", "issue", "--owner", "ann"],
        cwd=ROOT, env=environment, stdout=shown, stderr=subprocess.PIPE, timeout=ANSWER_S, check=True,
    )  # fmt: skip

    os.close(shown)
    text = os.read(seen, 1_000).decode().strip()
    os.close(seen)
    assert text.startswith("tl_")
    assert "owner       ann  (type session, tenant default)" in done.stderr.decode()
    assert text not in done.stderr.decode()


def test_the_callers_token_may_be_the_one_that_a_service_keeps(
    tokenlife: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data_dir = tmp_path_factory.mktemp("data")
    (data_dir / "admin-token").write_text(ADMIN + "\n")

    done = tokenlife("count", TOKENLIFE_TOKEN="", TOKENLIFE_DATA_DIR=str(data_dir))

    assert (done.returncode, done.stderr) == (0, "")
