"""The settings: their names, bounds and meanings.  How they are read is `settings`' own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta
from msgspec.structs import FieldInfo

LONGEST_MS = 315_360_000_000  # ten years of 365 days
SECRET = Meta(extra={"secret": True})


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
Schemes = r"(unix|rediss?(\+sentinel|\+cluster)?)://.+"
RedisUrl = Annotated[str, shaped(Schemes, "a URL of redis, rediss, unix, redis+sentinel or redis+cluster")]
HttpUrl = Annotated[str, shaped("https?://.+", "an http or https URL")]
Cookie = Annotated[str, shaped(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", "a cookie name: letters, digits, !#$%&'*+.^_`|~-")]
SigningKey = Annotated[str, shaped(".{16,}", "comma separated keys of at least 16 characters each")]
DIALECTS = ("wepay", "sarus", "taler", "onespan")
Dialect = Annotated[str, shaped(rf"({'|'.join(DIALECTS)})(=(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+)?", "NAME or NAME=/PREFIX")]
Dialects = Annotated[
    tuple[Dialect, ...], Meta(title=f"some of {', '.join(DIALECTS)}, comma separated, with =/PREFIX or without")
]
Format = Annotated[Literal["json", "console", "auto"], Meta(title="json, console or auto")]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Meta(title="DEBUG, INFO, WARNING or ERROR")]
Folder = Annotated[Path, Meta(title="a path"), says("Where the embedded store keeps data, keys and its lock.")]


def is_secret(field: FieldInfo) -> bool:
    return SECRET in metas(field.type)


def metas(kind: Any) -> Iterator[Any]:
    yield from getattr(kind, "__metadata__", ())
    for part in get_args(kind):
        yield from metas(part)


class Discreet(msgspec.Struct, frozen=True, kw_only=True):
    """Shows of a secret only whether it is set."""

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = [(field, getattr(self, field.name)) for field in msgspec.structs.fields(self)]
        return [(field.name, "***" if value and is_secret(field) else value) for field, value in shown]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


class Settings(Discreet, frozen=True, kw_only=True):
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
    tick_ms: Annotated[int, whole(5, 10_000), says("The longest rest between two sweeps.")] = 100
    store_timeout_ms: Annotated[int, whole(50, 60_000), says("How long a request waits for the store.")] = 1000
    facades: Annotated[Dialects, says("The published APIs that are served, at the root or as NAME=/PREFIX.")] = DIALECTS
    log_format: Annotated[Format, says("How lines look; auto: console on a terminal, else json.")] = "auto"
    log_level: Annotated[Level, says("The least severe lines that are written.")] = "INFO"
    grpc_port: Annotated[Port | None, says("A port for Envoy's Check over gRPC, an extra; unset: none.")] = None
    public_url: Annotated[HttpUrl | None, says("How clients reach the service; unset: as each request says.")] = None
    cookie_name: Annotated[Cookie, says("The cookie in which gateways pass a token.")] = "session"
    ready_needs_store: Annotated[YesNo, says("Whether a lost store makes /readyz fail.")] = False
    drain_ms: Annotated[Pause, says("How long it still serves after SIGTERM, /readyz failing.")] = 0
    grace_ms: Annotated[Pause, says("How long requests under way may take to end at a stop.")] = 10_000
    body_ms: Annotated[int, whole(100, 600_000), says("How long a request's body may take to arrive.")] = 10_000
    heartbeat_ms: Annotated[int, whole(100, 600_000), says("The longest silence on a stream of events.")] = 15_000
    events_kept: Annotated[int, whole(1, 10_000_000), says("How many entries of events a partition keeps.")] = 16_384
    events_used: Annotated[YesNo, says("Whether each use of a token emits an event.")] = False
    wepay_per_second: Annotated[int, whole(0, 1000), says("Calls a second of an application to each of WePay.")] = 0
    wepay_typed: Annotated[YesNo, says("Whether WePay's list asks for a Content-Type, as the vendor's does.")] = True
    sarus_per_second: Annotated[int, whole(0, 1000), says("Calls a second of one to each of Sarus; 0: any number.")] = 0
    taler_basic: Annotated[YesNo, says("Whether a password opens all calls of Taler; else it only gets tokens.")] = True
    onespan_life_ms: Annotated[Life, says("The life of a session creation token of OneSpan.")] = 86_400_000
    revoke_wait: Annotated[int, whole(0, 9), says("How many replicas have a revocation that is acknowledged.")] = 0
    max_body_bytes: Annotated[
        int, whole(1024, 16_777_216), says("The largest body that is read; a batch may have 128 KiB.")
    ] = 65_536


class ClientSettings(Discreet, frozen=True, kw_only=True):
    """What the command line needs to reach a running service."""

    url: Annotated[HttpUrl, says("Where the command line finds the service.")] = "http://127.0.0.1:8080"
    token: Annotated[Text | None, SECRET, says("What it presents; unset: the kept admin token.")] = None
    data_dir: Folder = Path(".tokenlife")
