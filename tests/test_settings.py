"""The environment is read strictly, completely and discreetly."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from service import settings
from service.api.tokens import MANY_BYTES
from service.core.text import Texts
from service.settings import ClientSettings, Settings, SettingsError, describe, load, load_client

SECRET = "a-secret-of-more-than-20-characters"
KEYS = f"{SECRET}-new,{SECRET}-old"
FACADES = "some of wepay, sarus, taler, onespan, comma separated, with =/PREFIX or without"


def complaints(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(environ)
    return str(raised.value).splitlines()


def test_an_empty_environment_gives_the_defaults() -> None:
    assert load({}) == Settings()


def test_without_an_argument_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENLIFE_PORT", "9001")

    assert load().port == 9001


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("TOKENLIFE_PORT", "0", "port", 0),
        ("TOKENLIFE_OPS_PORT", "9090", "ops_port", 9090),
        ("TOKENLIFE_WORKERS", " 64 ", "workers", 64),
        ("TOKENLIFE_FOREVER", "false", "forever", False),
        ("TOKENLIFE_EVENTS_USED", "1", "events_used", True),
        ("TOKENLIFE_DATA_DIR", "/var/lib/tokenlife", "data_dir", Path("/var/lib/tokenlife")),
        ("TOKENLIFE_FACADES", "taler, wepay", "facades", ("taler", "wepay")),
        ("TOKENLIFE_FACADES", "taler=/bank/v12,wepay", "facades", ("taler=/bank/v12", "wepay")),
        ("TOKENLIFE_SIGNING_KEYS", KEYS, "signing_keys", (f"{SECRET}-new", f"{SECRET}-old")),
        ("TOKENLIFE_ADMIN_TOKEN", SECRET, "admin_token", SECRET),
        ("TOKENLIFE_LOG_LEVEL", "DEBUG", "log_level", "DEBUG"),
    ],
)
def test_a_value_becomes_what_its_field_is(name: str, text: str, field: str, value: object) -> None:
    assert getattr(load({name: text}), field) == value


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache:6379/0",
        "rediss://:password@cache",
        "unix:///run/redis.sock",
        "redis+sentinel://a:26379,b:26379/primary",
        "redis+cluster://a:7000,b:7001",
    ],
)
def test_each_kind_of_store_can_be_named(url: str) -> None:
    assert load({"TOKENLIFE_REDIS_URL": url, "TOKENLIFE_SIGNING_KEYS": KEYS}).redis_url == url


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("TOKENLIFE_PORT", "65536", "a whole number from 0 to 65535"),
        ("TOKENLIFE_PORT", "http", "a whole number from 0 to 65535"),
        ("TOKENLIFE_OPS_PORT", "null", "a whole number from 0 to 65535"),
        ("TOKENLIFE_WORKERS", "0", "a whole number from 1 to 64"),
        ("TOKENLIFE_PARTITIONS", "257", "a whole number from 1 to 256"),
        ("TOKENLIFE_TICK_MS", "0.5", "a whole number from 5 to 10000"),
        ("TOKENLIFE_STORE_TIMEOUT_MS", "49", "a whole number from 50 to 60000"),
        ("TOKENLIFE_MAX_LIFE_MS", "315360000001", "a whole number from 1 to 315360000000"),
        ("TOKENLIFE_FOREVER", "maybe", "true or false"),
        *[
            ("TOKENLIFE_FACADES", text, FACADES)
            for text in ("wepay,paypal", "wepay=", "wepay=/", "wepay=bank", "wepay=/bank/", "wepay=/../x", "wepay=/{x}")
        ],
        ("TOKENLIFE_LOG_FORMAT", "xml", "json, console or auto"),
        ("TOKENLIFE_LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING or ERROR"),
        ("TOKENLIFE_COOKIE_NAME", "a b", "a cookie name: letters, digits, !#$%&'*+.^_`|~-"),
    ],
)
def test_a_wrong_value_is_shown_with_what_was_expected(name: str, text: str, expected: str) -> None:
    assert complaints({name: text}) == [f"{name} is '{text}'; expected is {expected}."]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TOKENLIFE_ADMIN_TOKEN", "hunter2-too-short"),
        ("TOKENLIFE_ADMIN_TOKEN", "hunter2 with spaces between"),
        ("TOKENLIFE_ADMIN_TOKEN", "hunter2-ünprintable-to-ascii"),
        ("TOKENLIFE_SIGNING_KEYS", f"{SECRET},hunter2"),
        ("TOKENLIFE_SIGNING_KEYS", f"{SECRET},,hunter2-and-an-empty-one"),
        ("TOKENLIFE_REDIS_URL", "http://user:hunter2@cache"),
        ("TOKENLIFE_REDIS_URL", "tcp://hunter2:6379"),
        ("TOKENLIFE_ADMIN_TOKEN_FILE", "hunter2-given-as-the-name-of-its-file"),
    ],
)
def test_a_wrong_secret_is_not_shown(name: str, text: str) -> None:
    (complaint,) = complaints({name: text})

    assert complaint.startswith(f"{name} ")
    assert "hunter2" not in complaint


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("TOKENLIFE_PROT", "TOKENLIFE_PORT"),
        ("TOKENLIFE_REDIS", "TOKENLIFE_REDIS_URL"),
        ("TOKENLIFE_DEFAULT_LIFE", "TOKENLIFE_DEFAULT_LIFE_MS"),
        ("TOKENLIFE_ADMIN_TOKENS_FILE", "TOKENLIFE_ADMIN_TOKEN_FILE"),
        ("TOKENLIFE_port", "TOKENLIFE_PORT"),
        ("TOKENLIFE_", "TOKENLIFE_URL"),
    ],
)
def test_a_misspelt_name_is_refused_and_the_nearest_is_named(wrong: str, right: str) -> None:
    assert complaints({wrong: SECRET}) == [f"{wrong} is not a setting; the nearest is {right}."]


def test_all_complaints_come_at_once() -> None:
    environ = {
        "TOKENLIFE_PROT": "1",
        "TOKENLIFE_PORT": "x",
        "TOKENLIFE_ADMIN_TOKEN": "short",
        "TOKENLIFE_DEFAULT_LIFE_MS": "2",
        "TOKENLIFE_MAX_LIFE_MS": "1",
    }

    names = [complaint.split()[0] for complaint in complaints(environ)]

    assert sorted(names) == [
        "TOKENLIFE_ADMIN_TOKEN",
        "TOKENLIFE_DEFAULT_LIFE_MS",
        "TOKENLIFE_PORT",
        "TOKENLIFE_PROT",
    ]


def test_names_of_others_do_not_matter() -> None:
    assert load({"PATH": "/bin", "REDIS_URL": "redis://x", "XTOKENLIFE_PORT": "1"}) == Settings()


def test_what_kubernetes_says_about_a_service_of_that_name_is_not_ours() -> None:
    links = {
        "TOKENLIFE_PORT": "tcp://10.0.0.7:8080",
        "TOKENLIFE_SERVICE_HOST": "10.0.0.7",
        "TOKENLIFE_SERVICE_PORT": "8080",
        "TOKENLIFE_SERVICE_PORT_HTTP": "8080",
        "TOKENLIFE_PORT_8080_TCP": "tcp://10.0.0.7:8080",
        "TOKENLIFE_PORT_8080_TCP_ADDR": "10.0.0.7",
        "TOKENLIFE_REDIS_SERVICE_HOST": "10.0.0.8",
        "TOKENLIFE_REDIS_PORT": "tcp://10.0.0.8:6379",
    }

    assert load(links) == Settings()


def test_an_empty_value_counts_as_unset() -> None:
    names = [setting.name for setting in describe({}) if setting.name != "TOKENLIFE_FACADES"]

    assert load(dict.fromkeys(names, " ")) == Settings()


def test_an_empty_list_of_facades_is_none_of_them() -> None:
    assert load({"TOKENLIFE_FACADES": ""}).facades == ()


@pytest.mark.parametrize("name", ["admin_token", "signing_keys", "redis_url"])
def test_a_secret_may_be_the_content_of_a_file(name: str, tmp_path: Path) -> None:
    content = {"redis_url": "redis://:pw@cache"}.get(name, SECRET)
    file = tmp_path / name
    file.write_text(f"{content}\n")

    found = load(
        {f"TOKENLIFE_{name.upper()}_FILE": str(file)}
        | ({"TOKENLIFE_SIGNING_KEYS": KEYS} if name == "redis_url" else {})
    )

    assert getattr(found, name) in (content, (content,))


def test_a_secret_is_given_once_or_refused(tmp_path: Path) -> None:
    given = {"TOKENLIFE_ADMIN_TOKEN": SECRET, "TOKENLIFE_ADMIN_TOKEN_FILE": str(tmp_path / "token")}

    assert complaints(given) == [
        "TOKENLIFE_ADMIN_TOKEN and TOKENLIFE_ADMIN_TOKEN_FILE are both set; only one of them may be."
    ]


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_secret_file_must_have_a_secret_in_it(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)

    (complaint,) = complaints({"TOKENLIFE_ADMIN_TOKEN_FILE": str(file)})

    assert complaint.startswith("TOKENLIFE_ADMIN_TOKEN_FILE ")


def test_what_is_no_secret_has_no_file() -> None:
    (complaint,) = complaints({"TOKENLIFE_PORT_FILE": "/etc/port"})

    assert complaint.startswith("TOKENLIFE_PORT_FILE is not a setting")


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        (
            {"TOKENLIFE_DEFAULT_LIFE_MS": "10", "TOKENLIFE_MAX_LIFE_MS": "9"},
            ["TOKENLIFE_DEFAULT_LIFE_MS", "TOKENLIFE_MAX_LIFE_MS"],
        ),
        ({"TOKENLIFE_REDIS_URL": "redis://cache"}, ["TOKENLIFE_REDIS_URL", "TOKENLIFE_SIGNING_KEYS"]),
        ({"TOKENLIFE_OPS_PORT": "8080"}, ["TOKENLIFE_OPS_PORT", "TOKENLIFE_PORT"]),
        ({"TOKENLIFE_GRPC_PORT": "8080"}, ["TOKENLIFE_GRPC_PORT"]),
    ],
)
def test_what_does_not_go_together_is_refused(environ: dict[str, str], names: list[str]) -> None:
    (complaint,) = complaints(environ)

    assert all(name in complaint for name in names)


def test_secrets_are_not_in_the_repr() -> None:
    given = {"TOKENLIFE_ADMIN_TOKEN": SECRET, "TOKENLIFE_SIGNING_KEYS": KEYS}
    found = load(given | {"TOKENLIFE_REDIS_URL": f"redis://:{SECRET}@cache"})

    shown: list[Any] = [repr(found), str(found), f"{found}", found.__rich_repr__()]

    assert all(SECRET not in str(one) for one in shown)
    assert "admin_token='***'" in shown[0]
    assert "port=8080" in shown[0]


def test_settings_do_not_change() -> None:
    with pytest.raises(AttributeError):
        load({}).port = 1  # type: ignore[misc]


def test_the_command_line_has_settings_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET)
    given = {"TOKENLIFE_URL": "https://tokens.example", "TOKENLIFE_TOKEN_FILE": str(tmp_path / "token")}

    found = load_client(given)

    assert found == ClientSettings(url="https://tokens.example", token=SECRET)
    assert SECRET not in repr(found)
    assert load(given) == Settings()


def test_the_command_line_does_not_judge_the_values_of_the_service() -> None:
    assert load_client({"TOKENLIFE_PORT": "x"}) == ClientSettings()

    with pytest.raises(SettingsError, match="TOKENLIFE_TOKN is not a setting; the nearest is TOKENLIFE_TOKEN"):
        load_client({"TOKENLIFE_TOKN": SECRET})


def test_every_setting_is_described_and_its_default_can_be_given() -> None:
    manual = {setting.name: setting for setting in describe({})}

    names = {field.name for kind in (Settings, ClientSettings) for field in msgspec.structs.fields(kind)}
    assert {settings.PREFIX + name.upper() for name in names} == manual.keys()
    assert all(setting.meaning.endswith(".") for setting in manual.values())
    assert load({name: setting.default for name, setting in manual.items()}) == Settings()
    assert {name for name, setting in manual.items() if setting.secret} == {
        "TOKENLIFE_ADMIN_TOKEN",
        "TOKENLIFE_REDIS_URL",
        "TOKENLIFE_SIGNING_KEYS",
        "TOKENLIFE_TOKEN",
    }


def test_the_manual_tells_what_is_set_and_where_but_no_secret(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET)
    given = {
        "TOKENLIFE_PORT": " 9001 ",
        "TOKENLIFE_SIGNING_KEYS": KEYS,
        "TOKENLIFE_ADMIN_TOKEN_FILE": str(tmp_path / "token"),
    }

    manual = {setting.name: setting for setting in describe(given)}

    told = {name: (setting.value, setting.origin) for name, setting in manual.items() if setting.origin != "default"}
    assert told == {
        "TOKENLIFE_PORT": ("9001", "TOKENLIFE_PORT"),
        "TOKENLIFE_SIGNING_KEYS": ("set", "TOKENLIFE_SIGNING_KEYS"),
        "TOKENLIFE_ADMIN_TOKEN": ("set", "TOKENLIFE_ADMIN_TOKEN_FILE"),
    }
    assert manual["TOKENLIFE_REDIS_URL"].value == "unset"
    assert manual["TOKENLIFE_HOST"].value == "127.0.0.1"


def test_the_largest_batch_fits_into_the_largest_body() -> None:
    token, _ = Texts([SECRET]).mint(255, "secret-token:")

    body = msgspec.json.encode({"verb": "revoke", "tokens": [token] * 1000})

    assert len(body) <= MANY_BYTES
