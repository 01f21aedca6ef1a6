"""Settings, read once from the environment.  No other module reads os.environ.

A name that does not exist stops the start, as does a value that does not fit; all complaints come at once.
An empty value counts as unset, but makes a list empty.  A secret may also be the content of a file, whose
path is then given under the secret's name + `_FILE`.
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

import msgspec
from msgspec import Meta
from msgspec.structs import FieldInfo

PREFIX = "TOKENLIFE_"
LONGEST_MS = 315_360_000_000  # ten years of 365 days
SECRET = Meta(extra={"secret": True})

# Kubernetes puts such names into every pod beside a Service named `tokenlife` or `tokenlife-redis`.
LINK_NAME = re.compile(r"TOKENLIFE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
LINK_VALUE = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


class SettingsError(Exception):
    """What is wrong with the environment: a sentence a line, without the values of secrets."""


def says(description: str) -> Meta:
    return Meta(description=description)


def whole(low: int, high: int) -> Meta:
    return Meta(ge=low, le=high, title=f"a whole number from {low} to {high}")


def shaped(pattern: str, title: str) -> Meta:
    return Meta(pattern=rf"\A(?:{pattern})\Z", title=title)


Life = Annotated[int, whole(1, LONGEST_MS)]
Port = Annotated[int, whole(0, 65_535)]
Pause = Annotated[int, whole(0, 600_000)]
YesNo = Annotated[bool, Meta(title="true or false")]
Text = Annotated[str, shaped(".+", "some text")]
Bearer = Annotated[str, shaped("[!-~]{20,}", "at least 20 printable ASCII characters without spaces")]
Schemes = r"(rediss?|unix|redis\+sentinel|redis\+cluster)://.+"
RedisUrl = Annotated[str, shaped(Schemes, "a URL of redis, rediss, unix, redis+sentinel or redis+cluster")]
HttpUrl = Annotated[str, shaped("https?://.+", "an http or https URL")]
Cookie = Annotated[str, shaped(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", "a cookie name: letters, digits, !#$%&'*+.^_`|~-")]
SigningKey = Annotated[str, shaped(".{16,}", "comma separated keys of at least 16 characters each")]
Dialect = Literal["wepay", "sarus", "taler", "onespan"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
Dialects = Annotated[tuple[Dialect, ...], Meta(title=f"some of {', '.join(DIALECTS)}, comma separated")]
Format = Annotated[Literal["json", "console", "auto"], Meta(title="json, console or auto")]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Meta(title="DEBUG, INFO, WARNING or ERROR")]
Folder = Annotated[Path, Meta(title="a path"), says("Where the embedded store keeps data, keys and its lock.")]


class _Discreet(msgspec.Struct, frozen=True, kw_only=True):
    """Shows of a secret only whether it is set."""

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = [(field, getattr(self, field.name)) for field in msgspec.structs.fields(self)]
        return [(field.name, "***" if value and _is_secret(field) else value) for field, value in shown]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


class Settings(_Discreet, frozen=True, kw_only=True):
    """What the service runs with."""

    # A secret, for it may carry a password.
    redis_url: Annotated[RedisUrl | None, SECRET, says("The store; unset: a private one is started.")] = None
    host: Annotated[Text, says("The address that the service listens on.")] = "127.0.0.1"
    port: Annotated[Port, says("The port that the service listens on; 0: a free one.")] = 8080
    ops_port: Annotated[Port | None, says("A port apart for probes and metrics; unset: none apart.")] = None
    workers: Annotated[int, whole(1, 64), says("How many processes serve requests.")] = 1
    data_dir: Folder = Path(".tokenlife")
    admin_token: Annotated[Bearer | None, SECRET, says("The token of the caller who may do everything.")] = None
    signing_keys: Annotated[tuple[SigningKey, ...], SECRET, says("The newest signs, all verify.")] = ()
    default_life_ms: Annotated[Life, says("The life of a token that asks for none.")] = 1_800_000
    max_life_ms: Annotated[Life, says("The longest life that may be asked for.")] = 31_536_000_000
    forever: Annotated[YesNo, says("Whether a life of null, for ever, may be asked for.")] = True
    retention_ms: Annotated[Life, says("How long the record of a final token is kept.")] = 86_400_000
    partitions: Annotated[int, whole(1, 256), says("How tokens are split up; fixed at the first start.")] = 16
    tick_ms: Annotated[int, whole(5, 10_000), says("The longest rest between two sweeps.")] = 50
    store_timeout_ms: Annotated[int, whole(50, 60_000), says("How long a request waits for the store.")] = 1000
    facades: Annotated[Dialects, says("The published APIs that are served; empty: none.")] = DIALECTS
    log_format: Annotated[Format, says("How lines look; auto: console on a terminal, else json.")] = "auto"
    log_level: Annotated[Level, says("The least severe lines that are written.")] = "INFO"
    public_url: Annotated[HttpUrl | None, says("How clients reach the service; unset: as each request says.")] = None
    cookie_name: Annotated[Cookie, says("The cookie in which gateways pass a token.")] = "session"
    ready_needs_store: Annotated[YesNo, says("Whether a lost store makes /readyz fail.")] = False
    drain_ms: Annotated[Pause, says("How long it still serves after SIGTERM, /readyz failing.")] = 0
    grace_ms: Annotated[Pause, says("How long requests under way may take to end at a stop.")] = 10_000
    body_ms: Annotated[int, whole(100, 600_000), says("How long a request's body may take to arrive.")] = 10_000
    heartbeat_ms: Annotated[int, whole(100, 600_000), says("The longest silence on a stream of events.")] = 15_000
    events_kept: Annotated[int, whole(1, 10_000_000), says("How many events a partition keeps.")] = 16_384
    events_used: Annotated[YesNo, says("Whether each use of a token emits an event.")] = False
    sarus_per_second: Annotated[int, whole(0, 1000), says("Calls a second of one to each of Sarus; 0: any number.")] = 0
    onespan_life_ms: Annotated[Life, says("The life of a session creation token of OneSpan.")] = 86_400_000
    max_body_bytes: Annotated[
        int, whole(1024, 16_777_216), says("The largest body that is read; a batch may have 128 KiB.")
    ] = 65_536


class ClientSettings(_Discreet, frozen=True, kw_only=True):
    """What the command line needs to reach a running service."""

    url: Annotated[HttpUrl, says("Where the command line finds the service.")] = "http://127.0.0.1:8080"
    token: Annotated[Text | None, SECRET, says("What it presents; unset: the kept admin token.")] = None
    data_dir: Folder = Path(".tokenlife")


class Setting(NamedTuple):
    """One line of the manual, in the words of the environment."""

    name: str
    default: str
    meaning: str
    secret: bool
    value: str  # of a secret only `set` or `unset`
    origin: str  # the name in the environment that gives the value, or `default`


S = TypeVar("S", bound=_Discreet)
_FIELDS = {field.name: field for kind in (Settings, ClientSettings) for field in msgspec.structs.fields(kind)}


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Raises: SettingsError with every complaint."""
    return _load(Settings, os.environ if environ is None else environ)


def load_client(environ: Mapping[str, str] | None = None) -> ClientSettings:
    """Raises: SettingsError with every complaint about the names and about the command line's own values."""
    return _load(ClientSettings, os.environ if environ is None else environ)


def describe(environ: Mapping[str, str] | None = None) -> list[Setting]:
    """Every setting as people write it: the service's, then the command line's own.  Raises: SettingsError."""
    given = _given(os.environ if environ is None else environ)
    return [_described(field, given) for field in _FIELDS.values()]


def _described(field: FieldInfo, given: Mapping[str, str]) -> Setting:
    name, default, secret, text = env_name(field), _written(field.default), _is_secret(field), _text(field, given)
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
    text, path = given.get(name), given.get(name + "_FILE") if _is_secret(field) else None
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
        shown = "has a value (not shown) that does not fit" if _is_secret(field) else f"is {text!r}"
        raise SettingsError(f"{env_name(field)} {shown}; expected is {_meta(field.type, 'title')}.")
    return found


def _misspelt(given: Mapping[str, str]) -> list[str]:
    known = {env_name(field) for field in _FIELDS.values()}
    known |= {env_name(field) + "_FILE" for field in _FIELDS.values() if _is_secret(field)}
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


def _is_secret(field: FieldInfo) -> bool:
    return SECRET in _metas(field.type)


def _meta(kind: Any, what: str) -> str:
    return next(str(text) for meta in _metas(kind) if (text := getattr(meta, what)))


def _metas(kind: Any) -> Iterator[Any]:
    yield from getattr(kind, "__metadata__", ())
    for part in get_args(kind):
        yield from _metas(part)


def _written(default: Any) -> str:
    """A default in the words of the environment."""
    if isinstance(default, tuple):
        return ",".join(default)
    return "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
