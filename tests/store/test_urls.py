"""The URL of a store, and the sentence about one that is wrong."""

from pathlib import Path

import pytest

from service.store.connect import client
from service.store.tls import Secure
from service.store.urls import Address, WrongStore, read
from service.workers import _without_secrets
from tests.certificates import Authority


def test_a_cluster_is_named_by_some_of_its_nodes() -> None:
    where = read("redis+cluster://ann:p%40ss@one:7000,two,[::1]:7002,[::2]?protocol=2")

    assert where.kind == "cluster"
    assert where.seats == (Address("one", 7000), Address("two", 6379), Address("::1", 7002), Address("::2", 6379))
    assert where.options == {"username": "ann", "password": "p@ss", "protocol": 2}


def test_a_master_is_named_behind_its_sentinels() -> None:
    where = read("redis+sentinel://:secret@one,two:26380/my%20main/3?sentinel_username=s&sentinel_password=t%26u")

    assert (where.kind, where.master) == ("sentinel", "my main")
    assert where.seats == (Address("one", 26379), Address("two", 26380))
    assert where.options == {"password": "secret", "db": 3}
    assert where.sentinel == {"username": "s", "password": "t&u"}
    assert "secret" not in repr(where)


def test_both_may_speak_tls() -> None:
    assert read("rediss+cluster://one").options == {"connection_class": Secure}
    assert read("rediss+sentinel://one/main").options == {"connection_class": Secure}


async def test_sentinels_are_trusted_as_their_master_is(tmp_path: Path) -> None:
    ca = Authority(tmp_path, "ca").file
    nodes = client(f"rediss+sentinel://one/main?ssl_ca_certs={ca}", 1.0)

    [sentinel] = nodes._sentinel.sentinels  # type: ignore[attr-defined]
    connection = sentinel.connection_pool.make_connection()
    assert isinstance(connection, Secure)
    assert connection.ca_certs == str(ca)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("redis+ring://one", r"redis\+ring:// is not a kind of store"),
        ("redis+cluster://", "a host is missing"),
        ("redis+cluster://one,,two", "a host is missing"),
        ("redis+cluster://one:x", "the port of one is not a number from 1 to 65535"),
        ("redis+cluster://one:0", "the port of one is not a number from 1 to 65535"),
        ("redis+cluster://one/1", "a cluster has only one database"),
        ("redis+cluster://one?sentinel_password=x", "the option sentinel_password is not known"),
        ("redis+cluster://one?protocol=x", "Invalid value for 'protocol'"),
        ("redis+cluster://one?colour=red", "the option 'colour' is not known"),
        ("redis+sentinel://one", "the name of the master is missing"),
        ("redis+sentinel://one/", "the name of the master is missing"),
        ("redis+sentinel://one/main/x", "must be the number of a database"),
        ("redis+sentinel://one/main?sentinel_pasword=x", "the option sentinel_pasword is not known"),
        ("redis+sentinel://one/main?colour=red", "the option 'colour' is not known"),
        ("redis://one?colour=red", "the option 'colour' is not known"),
        ("redis://one?ssl_ca_certs=ca.pem", "the option 'ssl_ca_certs' needs rediss://"),
        ("redis://one:x", "the port is not a number"),
    ],
)
async def test_what_is_wrong_is_said_in_one_sentence(url: str, what: str) -> None:
    with pytest.raises(WrongStore, match=f"^TOKENLIFE_REDIS_URL: .*{what}.*\\.$"):
        client(url, 1.0)


@pytest.mark.parametrize("url", ["redis+cluster://ann:hunter2@one:x", "redis://ann:hunter2/hunter2@one"])
async def test_the_sentence_tells_no_secret(url: str) -> None:
    with pytest.raises(WrongStore) as refused:
        client(url, 1.0)

    assert "hunter2" not in str(refused.value)


def test_the_banner_tells_none_either() -> None:
    url = "redis+sentinel://:hunter2@one,two/main?sentinel_password=hunter3"

    assert _without_secrets(url) == "redis+sentinel://one,two/main"
