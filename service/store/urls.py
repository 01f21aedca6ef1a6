"""Reads the URL of a store, and says in one sentence what is wrong with it, without what it keeps secret.

    redis://, rediss://, unix://                                         one server, as redis-py reads them
    redis+sentinel://[user:password@]host[:26379],host,.../MASTER[/db]   the master that Sentinel names
    redis+cluster://[user:password@]host[:6379],host,...                 a cluster, found through some of its nodes

`rediss+...` speaks TLS, with all of them.  User and password are the store's; Sentinel's own are the options
`sentinel_username` and `sentinel_password`.  All other options are redis-py's.
"""

from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import msgspec
from redis.asyncio.connection import BlockingConnectionPool, parse_url
from redis.exceptions import RedisError

from service.store.tls import Secure, unfit

PORTS = {"sentinel": 26379, "cluster": 6379}
PORT = "the port is not a number from 0 to 65535; in a password / is written %2F, ? is %3F and # is %23"
OWN = "sentinel_"  # what begins so is Sentinel's own


class WrongStore(Exception):
    """What is asked for, or what answers, is not a store that the service can run on; the message says why."""


class Address(NamedTuple):
    host: str
    port: int


class Where(msgspec.Struct, frozen=True):
    """kind: '' is one server.  options: what redis-py makes a connection from."""

    kind: str
    options: dict[str, Any]
    seats: tuple[Address, ...] = ()  # of the sentinels, or of nodes of the cluster
    master: str = ""
    sentinel: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Where({self.kind!r})"  # the options may hold a password


def read(url: str) -> Where:
    """Raises `WrongStore`."""
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if not kind:
        return Where("", _options(url))
    if kind not in PORTS:
        raise wrong(f"{parts.scheme}:// is not a kind of store; +sentinel and +cluster are")
    credentials, _, hosts = parts.netloc.rpartition("@")
    master, database = _path(kind, unquote(parts.path.strip("/")))
    query = parse_qsl(parts.query, keep_blank_values=True)
    rest = urlencode([(name, value) for name, value in query if not name.startswith(OWN)])
    options = _options(f"{scheme}://{credentials}@-/{database}?{rest}")
    own = {name.removeprefix(OWN): value for name, value in query if name.startswith(OWN)}
    if unknown := own.keys() - ({"username", "password"} if kind == "sentinel" else set()):
        raise wrong(f"the option {OWN}{min(unknown)} is not known")
    seats = tuple(_address(host, PORTS[kind]) for host in hosts.split(","))
    return Where(kind, {name: value for name, value in options.items() if name != "host"}, seats, master, own)


def wrong(what: str) -> WrongStore:
    return WrongStore(f"TOKENLIFE_REDIS_URL: {what}.")


def _options(url: str) -> dict[str, Any]:
    try:
        options: dict[str, Any] = dict(parse_url(url))
        if url.startswith("rediss"):
            options["connection_class"] = Secure
        if options.keys() & {"ssl_certfile", "ssl_keyfile"}:
            options.setdefault("ssl_password", "")  # without any, a key that is locked would be asked for on a terminal
        # An option that no connection knows would else be heard of at the first call.
        connection = BlockingConnectionPool(**options).make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, RedisError) as error:
        # What is taken for a port may be a piece of a password.
        raise wrong(PORT if "Port" in str(error) else str(error).rstrip(".")) from None
    except TypeError as error:
        name = str(error).rpartition(" ")[2]
        plain = "ssl_" in name and not url.startswith("rediss")
        raise wrong(f"the option {name} {'needs rediss://' if plain else 'is not known'}") from None
    if isinstance(connection, Secure) and (what := unfit(connection)):
        raise wrong(what)
    return options


def _path(kind: str, path: str) -> tuple[str, str]:
    """The name of the master and the number of the database."""
    if kind == "cluster":
        if path not in ("", "0"):
            raise wrong("a cluster has only one database, so nothing may stand behind its hosts")
        return "", ""
    master, _, database = path.partition("/")
    if not master:
        raise wrong("the name of the master is missing behind the hosts: redis+sentinel://host,host/MASTER")
    if database and not database.isdigit():
        raise wrong("what stands behind the master's name must be the number of a database")
    return master, database


def _address(text: str, port: int) -> Address:
    """host, host:port, [::1] or [::1]:port"""
    host, colon, number = text.rpartition(":")
    if not colon or number.endswith("]"):
        host, number = text, str(port)
    host = unquote(host.removeprefix("[").removesuffix("]"))
    if not host:
        raise wrong("a host is missing")
    if not number.isdigit() or not 0 < int(number) < 65_536:
        raise wrong(f"the port of {host} is not a number from 1 to 65535")
    return Address(host, int(number))
