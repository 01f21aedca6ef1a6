"""Settings, read once from the environment; only the signing keys are looked at again.  No other module reads
os.environ.

A name that does not exist stops the start, as does a value that does not fit; all complaints come at once.
An empty value counts as unset, but makes a list empty.  A secret may also be the content of a file, whose
path is then given under the secret's name + `_FILE`.
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec.structs import FieldInfo

from service.settings.fields import ClientSettings, Discreet, Settings, is_secret, metas

__all__ = ["ClientSettings", "Setting", "Settings", "SettingsError", "describe", "load", "load_client", "share_metrics",
           "signing_keys"]  # fmt: skip

PREFIX = "TOKENLIFE_"

# Kubernetes puts such names into every pod beside a Service named `tokenlife` or `tokenlife-redis`.
LINK_NAME = re.compile(r"TOKENLIFE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
LINK_VALUE = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


class SettingsError(Exception):
    """What is wrong with the environment: a sentence a line, without the values of secrets."""


class Setting(NamedTuple):
    """One line of the manual, in the words of the environment."""

    name: str
    default: str
    meaning: str
    secret: bool
    value: str  # of a secret only `set` or `unset`
    origin: str  # the name in the environment that gives the value, or `default`


S = TypeVar("S", bound=Discreet)
_FIELDS = {field.name: field for kind in (Settings, ClientSettings) for field in msgspec.structs.fields(kind)}


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Raises: SettingsError with every complaint."""
    return _load(Settings, os.environ if environ is None else environ)


def signing_keys(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """As they are now, for a file may have got others since; empty: none are given.  Raises: SettingsError."""
    field = _FIELDS["signing_keys"]
    text = _text(field, _given(os.environ if environ is None else environ))
    return _converted(field, text) if text else ()


def load_client(environ: Mapping[str, str] | None = None) -> ClientSettings:
    """Raises: SettingsError with every complaint about the names and about the command line's own values."""
    return _load(ClientSettings, os.environ if environ is None else environ)


def describe(environ: Mapping[str, str] | None = None) -> list[Setting]:
    """Every setting as people write it: the service's, then the command line's own.  Raises: SettingsError."""
    given = _given(os.environ if environ is None else environ)
    return [_described(field, given) for field in _FIELDS.values()]


def _described(field: FieldInfo, given: Mapping[str, str]) -> Setting:
    name, default, secret, text = env_name(field), _written(field.default), is_secret(field), _text(field, given)
    value = ("set" if text else "unset") if secret else default if text is None else text
    origin = "default" if text is None else name if given.get(name) else f"{name}_FILE"
    return Setting(name, default, _meta(field.type, "description"), secret, value, origin)


def share_metrics(folder: str) -> None:
    """prometheus_client asks the environment, and nothing else, where several workers keep their numbers."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder


def env_name(field: FieldInfo) -> str:
    return PREFIX + field.name.upper()


def _load(kind: type[S], environ: Mapping[str, str]) -> S:
    given = _given(environ)
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for field in msgspec.structs.fields(kind):
        try:
            if (text := _text(field, given)) is not None:
                values[field.name] = _converted(field, text)
        except SettingsError as error:
            wrong[field.name] = str(error)
    settings = kind(**values)
    clashes: Iterable[str] = _clashes(settings, wrong) if isinstance(settings, Settings) else ()
    if problems := [*_misspelt(given), *wrong.values(), *clashes]:
        raise SettingsError("\n".join(problems))
    return settings


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    ours = {name: value.strip() for name, value in environ.items() if name.startswith(PREFIX)}
    links = {name for name, value in ours.items() if name.endswith("_PORT") and LINK_VALUE.fullmatch(value)}
    return {name: value for name, value in ours.items() if name not in links and not LINK_NAME.fullmatch(name)}


def _text(field: FieldInfo, given: Mapping[str, str]) -> str | None:
    """What was given for the field, if anything: directly, or for a secret also as the content of a file."""
    name = env_name(field)
    text, path = given.get(name), given.get(name + "_FILE") if is_secret(field) else None
    if text and path:
        raise SettingsError(f"{name} and {name}_FILE are both set; only one of them may be.")
    if path:
        return _content(name + "_FILE", Path(path))
    return text if text or isinstance(field.default, tuple) else None


def _content(name: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        # The path is not shown: it may be the secret itself, given under the wrong name.
        raise SettingsError(f"{name} must name a file that can be read: {reason}.") from None
    if not text:
        raise SettingsError(f"{name} names an empty file.")
    return text


def _converted(field: FieldInfo, text: str) -> Any:
    value = [part.strip() for part in text.split(",")] if text and isinstance(field.default, tuple) else text or ()
    try:
        found = msgspec.convert(value, field.type, strict=False, dec_hook=lambda kind, raw: kind(raw))
    except msgspec.ValidationError:
        found = None  # which is also what msgspec makes of the word "null"
    if found is None:
        shown = "has a value (not shown) that does not fit" if is_secret(field) else f"is {text!r}"
        raise SettingsError(f"{env_name(field)} {shown}; expected is {_meta(field.type, 'title')}.")
    return found


def _misspelt(given: Mapping[str, str]) -> list[str]:
    known = {env_name(field) for field in _FIELDS.values()}
    known |= {env_name(field) + "_FILE" for field in _FIELDS.values() if is_secret(field)}
    return [
        f"{name} is not a setting; the nearest is {difflib.get_close_matches(name.upper(), known, 1, 0)[0]}."
        for name in sorted(given.keys() - known)
    ]


def _clashes(s: Settings, wrong: Mapping[str, str]) -> Iterator[str]:
    """What does not go together; nothing about fields that are complained about anyway."""
    if s.default_life_ms > s.max_life_ms and not wrong.keys() & {"default_life_ms", "max_life_ms"}:
        yield "TOKENLIFE_DEFAULT_LIFE_MS must not exceed TOKENLIFE_MAX_LIFE_MS."
    if s.redis_url and not s.signing_keys and "signing_keys" not in wrong:
        yield "TOKENLIFE_REDIS_URL needs TOKENLIFE_SIGNING_KEYS: all instances on one store share their keys."
    if s.ops_port and s.ops_port == s.port and "port" not in wrong:
        yield "TOKENLIFE_OPS_PORT must differ from TOKENLIFE_PORT; unset, it shares that port."
    if s.grpc_port and s.grpc_port in (s.port, s.ops_port) and not wrong.keys() & {"port", "ops_port"}:
        yield "TOKENLIFE_GRPC_PORT must differ from the other ports."


def _meta(kind: Any, what: str) -> str:
    return next(str(text) for meta in metas(kind) if (text := getattr(meta, what)))


def _written(default: Any) -> str:
    """A default in the words of the environment."""
    if isinstance(default, tuple):
        return ",".join(default)
    return "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
