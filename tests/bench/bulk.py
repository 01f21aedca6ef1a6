"""Many tokens in little time: the service's own store, its calls carried in pipelines.

What is written is written by the service's scripts with the words that the service gives them; only the way
there is shorter, 30 us a token instead of a request each.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import hiredis
import uvloop

from service.app import Service, Start
from service.core.store import ANY_TENANT
from service.core.text import Texts, new_handle, partition_of
from service.core.token import Draft, Words
from service.settings import Settings
from service.store.scripts import VERBS, source
from service.store.tokens import RedisStore
from tests.bench.servers import KEYS, Store

CARRIED = 1_000  # calls in a pipeline; two are under way, so that the store need not wait for this process
TOLD = 100_000  # tokens between two lines about how far it is
NO_WORDS = Words()
PARTITIONS = Settings().partitions  # as the services of the bench have them
T = TypeVar("T")
Job = Callable[[RedisStore], Coroutine[Any, Any, T]]


def issue(store: Store, drafts: Iterable[Draft], words: Words = NO_WORDS) -> list[str]:
    """A live token for each draft; their handles.  Nobody knows a text of them."""
    return _carry(store, (_issuing(draft, words, None) for draft in drafts), "issued")


def issue_known(store: Store, drafts: Iterable[Draft]) -> list[str]:
    """The same, and their texts, as the services of the bench would have signed them."""
    texts = Texts([KEYS])
    minted = [(texts.mint(partition_of(draft.tenant, draft.owner, PARTITIONS)), draft) for draft in drafts]
    _carry(store, (_issuing(draft, NO_WORDS, handle) for (_, handle), draft in minted), "issued")
    return [text for (text, _), _ in minted]


def revoke(store: Store, handles: Iterable[str]) -> None:
    _carry(store, (_revoking(handle) for handle in handles), "revoked")


def renew(store: Store, handles: Iterable[str]) -> None:
    _carry(store, (_renewing(handle) for handle in handles), "renewed")


def _issuing(draft: Draft, words: Words, handle: str | None) -> Job[str]:
    async def job(tokens: RedisStore) -> str:
        chosen = handle or new_handle(tokens.partition(draft.tenant, draft.owner))
        return (await tokens.issue(chosen, draft, words)).id

    return job


def _revoking(handle: str) -> Job[None]:
    async def job(tokens: RedisStore) -> None:
        await tokens.revoke([handle], ANY_TENANT, "request")

    return job


def _renewing(handle: str) -> Job[None]:
    async def job(tokens: RedisStore) -> None:
        await tokens.renew(handle, ANY_TENANT)

    return job


class Train:
    """Stands where the client does: a call waits until the train leaves, and then for its answer.

    Packed and parsed by hiredis alone: redis-py would take longer for a call than the store does.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer, self._parser = reader, writer, hiredis.Reader()
        self._turn = asyncio.Lock()
        self._aboard: list[tuple[bytes, asyncio.Future[Any]]] = []

    def call(self, *words: Any) -> "asyncio.Future[Any]":
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._aboard.append((hiredis.pack_command(words), answer))
        return answer

    def close(self) -> None:
        self._writer.close()

    async def leave(self) -> None:
        aboard, self._aboard = self._aboard, []
        self._writer.writelines([call for call, _ in aboard])
        async with self._turn:  # the answers come in the order of the calls
            for _, waiting in aboard:
                waiting.set_result(await self._answer())

    async def _answer(self) -> Any:
        while (answer := self._parser.gets()) is False:
            self._parser.feed(await self._reader.read(1 << 16))
        if isinstance(answer, Exception):
            raise answer
        return answer


def tokens_of(store: Store, **settings: Any) -> Service:
    """The service's parts in this process, on a store of the bench; it serves nobody."""
    return Service(Settings(redis_url=store.url, **settings), Start(store.url, (KEYS,), None))


def _carry(store: Store, jobs: Iterable[Job[T]], done: str) -> list[T]:
    return uvloop.run(_carried(store, jobs, done))


async def _carried(store: Store, jobs: Iterable[Job[T]], done: str) -> list[T]:
    answers = list[T]()
    service = tokens_of(store)
    await service.prepare()
    train = Train(*await asyncio.open_unix_connection(str(store.socket)))
    common = service.settings.retention_ms, service.settings.events_kept  # what every script takes first
    digests = {verb: store.client.script_load(source(verb)) for verb in VERBS}

    async def run(verb: str, key: str, *args: Any) -> Any:
        answer, _ = await train.call("EVALSHA", digests[verb], 1, key, *common, *args)
        return answer

    service.link.run = run  # type: ignore[assignment, method-assign] # without deadlines: a call waits for its train
    async for some in _rides(train, service.store, jobs):
        answers += some
        if len(answers) % TOLD == 0:
            say(f"{len(answers):,} tokens {done}")
    train.close()
    await service.link.close()
    return answers


async def _rides(train: Train, tokens: RedisStore, jobs: Iterable[Job[T]]) -> Any:
    """The answers of each train, while the next one is filled."""
    before: asyncio.Future[list[T]] | None = None
    for some in _chunks(jobs):
        waiting = asyncio.gather(*[asyncio.ensure_future(job(tokens)) for job in some])
        await asyncio.sleep(0)  # each goes as far as its call
        leaving = asyncio.ensure_future(train.leave())
        if before is not None:
            yield await before
        before = asyncio.ensure_future(_arrived(leaving, waiting))
    if before is not None:
        yield await before


async def _arrived(leaving: "asyncio.Future[None]", waiting: "asyncio.Future[list[T]]") -> list[T]:
    await leaving  # a fault of the train is told first: those aboard would wait for ever
    return await waiting


def _chunks(jobs: Iterable[Job[T]]) -> Iterator[list[Job[T]]]:
    rest = iter(jobs)
    while some := list(islice(rest, CARRIED)):
        yield some


_BEGAN = time.monotonic()


def say(what: str) -> None:
    """A line about how far it is, beside what is printed in the end."""
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {what}", file=sys.stderr, flush=True)
