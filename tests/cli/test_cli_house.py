"""The verbs about the service itself, and how the command line says no."""

import msgspec
import pytest

from service import __version__
from service.cli import parser
from tests.cli.conftest import ADMIN, Run
from tests.servers import Server, Service, free_port

VERBS = {
    *("serve", "issue", "use", "peek", "renew", "rotate", "revoke", "list", "count", "events", "watch"),
    "credential",
    *("sweep", "settings", "healthcheck", "openapi", "version"),
}


def verbs() -> dict[str, str]:
    """By name, what `--help` says of each."""
    [choices] = [action.choices for action in parser()._actions if action.choices]
    return {name: verb.format_help() for name, verb in dict(choices).items()}


def test_every_verb_explains_itself() -> None:
    assert verbs().keys() == VERBS
    examples = {name: help_.partition("\nexample")[2] for name, help_ in verbs().items() if name != "version"}
    assert [name for name, example in examples.items() if f"tokenlife {name}" not in example] == []


@pytest.mark.parametrize("verb", ["use", "peek", "renew", "rotate", "revoke"])
def test_a_verb_that_takes_a_text_says_who_can_see_it(verb: str) -> None:
    assert "visible to every user" in verbs()[verb].replace("\n", " ")


def test_version_is_that_of_the_package(tokenlife: Run) -> None:
    assert tokenlife("version").stdout == f"{__version__}\n"


def test_settings_show_where_each_value_comes_from(tokenlife: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("secrets") / "token"
    secret.write_text("a-secret-that-nobody-sees")

    shown = tokenlife("settings", TOKENLIFE_PORT="9000", TOKENLIFE_ADMIN_TOKEN_FILE=str(secret)).stdout
    listed = msgspec.json.decode(tokenlife("settings", "--json", TOKENLIFE_PORT="9000").stdout)

    words = {line.split()[0]: line.split()[1:3] for line in shown.splitlines()}
    assert words["TOKENLIFE_PORT"] == ["9000", "TOKENLIFE_PORT"]
    assert words["TOKENLIFE_HOST"] == ["127.0.0.1", "default"]
    assert words["TOKENLIFE_ADMIN_TOKEN"] == ["set", "TOKENLIFE_ADMIN_TOKEN_FILE"]
    assert words["TOKENLIFE_SIGNING_KEYS"] == ["unset", "default"]
    assert "nobody-sees" not in shown
    assert {"name": "TOKENLIFE_PORT", "value": "9000", "default": "8080"}.items() <= listed[2].items()


def test_openapi_describes_the_calls(tokenlife: Run) -> None:
    document = msgspec.json.decode(tokenlife("openapi").stdout)

    assert document["openapi"].startswith("3.1")
    assert "post" in document["paths"]["/v1/tokens/use"]


def test_healthcheck_asks_the_service_of_its_environment(tokenlife: Run, service: Service) -> None:
    port = {"TOKENLIFE_PORT": str(service.port)}

    alive, ready = tokenlife("healthcheck", **port), tokenlife("healthcheck", "--ready", **port)

    assert (alive.returncode, alive.stdout) == (0, "live\n")
    assert (ready.returncode, ready.stdout) == (0, "ready, not draining, store\n")


def test_healthcheck_fails_where_nobody_serves(tokenlife: Run) -> None:
    done = tokenlife("healthcheck", "--timeout", "1s", TOKENLIFE_PORT=str(free_port()))

    assert (done.returncode, done.stdout) == (1, "")
    assert "the service cannot be reached at" in done.stderr


def test_sweep_marks_what_ran_out_while_no_service_ran(tokenlife: Run) -> None:
    with Server() as store:
        given = {"redis_url": store.url, "signing_keys": "a signing key of the tests", "admin_token": ADMIN}
        with Service(**given) as service:
            at = {"TOKENLIFE_URL": service.url}
            id_ = msgspec.json.decode(tokenlife("issue", "--owner", "ann", "--life", "2s", "--json", **at).stdout)["id"]
            service.kill()
            settings = {f"TOKENLIFE_{name.upper()}": value for name, value in given.items()}

            done = tokenlife("sweep", "--json", **settings)
            while not msgspec.json.decode(done.stdout)["marked"]:
                done = tokenlife("sweep", "--json", **settings)
            again = tokenlife("sweep", **settings)

            service.start()
            assert msgspec.json.decode(tokenlife("peek", "--id", id_, "--json", **at).stdout)["state"] == "expired"
            assert again.stdout == "marked 0, rescored 0, relisted 0, purged 0, evicted 0\n"


def test_sweep_leaves_the_data_of_a_running_service_alone(tokenlife: Run) -> None:
    with Service() as service:
        done = tokenlife("sweep", TOKENLIFE_DATA_DIR=str(service.data_dir))

    assert done.returncode == 3
    assert "in use by another service" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_misspelt_setting_stops_the_start_with_a_sentence(tokenlife: Run) -> None:
    done = tokenlife("serve", TOKENLIFE_PROT="9000")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tokenlife: TOKENLIFE_PROT is not a setting; the nearest is TOKENLIFE_PORT.\n"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["use", "tl_nobody's"], 1, "refused (unknown): The token is not known here."),
        (["peek", "--id", "nobody's"], 1, "refused (unknown): The token is not known here."),
        (["issue", "--owner", "a", "--life", "3 parsecs"], 2, "--life: '3 parsecs' is not a duration such as 30m"),
        (["issue", "--owner", "a", "--life", "0s"], 2, "life_ms"),
        (["issue", "--owner", "a", "--metadata", "[1]"], 2, "--metadata: not a JSON object"),
        (["issue"], 2, "--owner"),
        (["list", "--limit", "0"], 2, "--limit: must be at least 1"),
        (["revoke", "tl_x", "--dry-run"], 2, "go with --owner only"),
        (["use", "x", "--url", "ftp://there"], 2, "url: must begin with http:// or https://"),
        (["use", "x", "--url", "http://127.0.0.1:9", "--timeout", "1s"], 3, "cannot be reached at http://127.0.0.1:9"),
        (["events", "--after", "nonsense"], 2, "after: is not a cursor"),
        ([], 2, "VERB"),
    ],
)  # fmt: skip
def test_an_error_is_one_sentence_with_what_is_at_fault(
    words: list[str], code: int, sentence: str, tokenlife: Run
) -> None:
    done = tokenlife(*words)

    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_whoever_presents_nothing_is_told_how_to(tokenlife: Run) -> None:
    done = tokenlife("count", TOKENLIFE_TOKEN="", TOKENLIFE_DATA_DIR="/nowhere")

    assert done.returncode == 2
    assert "set TOKENLIFE_TOKEN (no admin token is kept in /nowhere/admin-token)" in done.stderr


def test_a_refusal_of_ones_own_token_is_told_apart(tokenlife: Run) -> None:
    done = tokenlife("count", TOKENLIFE_TOKEN="nobody's")

    assert done.returncode == 1
    assert "refused (unknown): the token that you present yourself (TOKENLIFE_TOKEN)" in done.stderr


def test_a_refusal_says_when_the_token_ended(tokenlife: Run) -> None:
    text = tokenlife("issue", "--owner", "ann", "--life", "1ms").stdout.strip()

    done = tokenlife("use", text)

    assert done.returncode == 1
    assert "refused (expired): The token has expired. That was at 20" in done.stderr
    assert text not in done.stderr
