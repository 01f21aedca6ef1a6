"""What goes into a record comes out of it: whatever the owners, words and metadata are."""

import asyncio
import json
import random
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from service.core import rules
from service.core.errors import BadInput
from service.core.rules import Rules
from service.core.store import Filter
from service.core.token import Change, Draft, Token, Words
from service.store import keys, record
from tests.world import World

OWNERS = [
    "ann", "a:b:c", "{07}", "}{", "tl:{00}:due", "-", " ", "a b", " lead and trail ", "%s %d %1 %%", "^$().[]*+-?",
    "\\", '"', "o'neil", "active", "*", "名前", "Zoë", "🙂🙃", "é" * 256, "x" * 256, "\u200b", "\ufeff", "a\u00a0b",
]  # fmt: skip


def made_up(dice: random.Random, depth: int = 3) -> Any:
    """Any JSON."""
    plain = [None, True, False, 0, -1, 2**53, 2**64, -(10**30), 0.1, -0.0, 1e300, 5e-324, dice.random(), text(dice)]
    kind = dice.randrange(3) if depth else 0
    if kind == 0:
        return dice.choice(plain)
    if kind == 1:
        return [made_up(dice, depth - 1) for _ in range(dice.randrange(4))]
    return {text(dice): made_up(dice, depth - 1) for _ in range(dice.randrange(4))}


def dumped(value: Any, ascii_only: bool) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")).encode()


def text(dice: random.Random) -> str:
    return "".join(dice.choice('aé名🙂 \n\r\t\0"\\/{}:%-\u2028\x7f') for _ in range(dice.randrange(8)))


def still(token: Token) -> Token:
    """Without what passes by itself."""
    return msgspec.structs.replace(token, remaining_ms=None)


@pytest.mark.parametrize("owner", OWNERS)
async def test_an_owner_may_be_anything_printable(world: World, owner: str) -> None:
    issued = await world.issue(owner, tenant="Shop.9-a_b", type="web.login-2_b", scopes=("a:b", "{07}", "%s", "-"))

    which = Filter(tenant="Shop.9-a_b", owner=owner)
    page = await world.lists.page(which, limit=5, cursor=None, descending=False)
    assert still(await world.tokens.peek(issued.text)) == still(issued.token)
    assert [still(token) for token in page.items] == [still(issued.token)]
    assert await world.lists.count(which) == {("web.login-2_b", "active"): 1}
    assert await world.store.revoke_owner("Shop.9-a_b", owner, None, "owner", [], 9, dry=False) == (1, False)


async def test_metadata_may_be_any_json_and_come_back_byte_for_byte(world: World, seed: int) -> None:
    dice = random.Random(seed)
    said = [dumped(made_up(dice), dice.random() < 0.5) for _ in range(100)]

    issued = await asyncio.gather(*[world.issue(str(number), metadata=Raw(one)) for number, one in enumerate(said)])
    seen = await asyncio.gather(*[world.tokens.peek(one.text) for one in issued])

    assert [bytes(token.metadata) for token in seen] == said


async def test_metadata_over_many_lines_is_kept_on_one(world: World) -> None:
    """A record is a text of lines."""
    pretty = Raw(b'{\n  "a": [1,\r\n 2],\t"b": "x\\ny"\n}\n')

    issued = await world.issue(metadata=pretty)
    await world.tokens.use(issued.text)

    seen = await world.tokens.peek(issued.text)
    assert json.loads(bytes(seen.metadata)) == {"a": [1, 2], "b": "x\ny"}
    assert (await world.tokens.rotate(issued.text)).token.metadata == seen.metadata


async def test_every_record_that_a_script_writes_is_read_as_it_was_answered(world: World) -> None:
    """Each verb's answer against what another look finds."""
    reader, issuer = await world.caller("tokens:read"), await world.caller("tokens:issue")
    policy = {"scopes": ("a", "b"), "description": "d\u00e9", "metadata": Raw(b"[1]"), "recoverable": True}
    token = await world.issue("ann", uses=5, ceiling_ms=900_000, refreshable=True, **policy)
    id_ = token.token.id

    for answer in (
        token.token,
        await world.tokens.use(token.text),
        await world.tokens.renew(token.text),
        await world.tokens.amend(id_, Change(description=None, life_ms=70_000), issuer),
        await world.tokens.peek(token.text),
    ):
        changes = {"uses", "last_used_at_ms", "deadline_at_ms", "life_ms", "description", "remaining_ms"}
        seen = await world.tokens.look(id_, reader)
        assert {**fields(answer), **{n: fields(seen)[n] for n in changes}} == fields(seen)

    successor = await world.tokens.rotate(token.text, overlap_ms=0)
    assert still(await world.tokens.look(successor.token.id, reader)) == still(successor.token)
    revoked = await world.tokens.revoke(successor.text)
    assert await world.tokens.look(successor.token.id, reader) == revoked
    old = await world.tokens.look(id_, reader)
    assert (old.state, old.ended_by, old.rotated_to) == ("revoked", "rotated", successor.token.id)


def fields(token: Token) -> dict[str, Any]:
    return msgspec.structs.asdict(token)


@pytest.mark.parametrize(
    "words",
    [
        Words(),
        Words("x"),
        Words(metadata=Raw(b"{}")),
        Words(metadata=Raw(b"null")),
        Words('\\n\u2028 " é', Raw(b'{"a":1.0}'), "sealed==", "00000000-0000-8000-8000-000000000000"),
    ],
)
def test_the_words_of_a_record_are_written_the_same_again(words: Words) -> None:
    """Amending compares what was seen with what stands there, byte by byte."""
    line = record.body(words)

    again = record.body(msgspec.json.decode(line, type=Words))

    assert again == line
    assert "\n" not in line


def test_a_handle_says_where_its_keys_are() -> None:
    handle = "0a3fef7d-7b4c-8d61-a5b2-0123456789ab"

    assert keys.short(handle) == "0a3fef7d7b4c8d61a5b20123456789ab"
    assert keys.partition(handle) == keys.partition(keys.short(handle)) == 10
    assert keys.due(keys.partition(handle)) == "tl:{0a}:due"


def test_a_clock_that_was_set_back_never_shows_more_than_the_full_life() -> None:
    line = b"a 0000000090000 0000000030000 0000000000 60000 - - s default session\nann\n0000000061440000\n{}"

    assert record.decode("00" * 16, line, 89_700).remaining_ms == 60_000
    assert record.decode("00" * 16, line, 59_000).remaining_ms == 59_000


@pytest.mark.parametrize("late_ms", [0, 3])
def test_what_a_token_of_a_short_life_did_is_told_as_of_one_alive(late_ms: int) -> None:
    """The stream's clock reads later than the script's: a life of a millisecond may be over by it."""
    line = b"a 1764000000001 1764000000000 0000000000 1 - - s default session\nann\n3612672000000000\n{}"

    token = record.decode_event("issued", "00" * 16, line, 1_764_000_000_001 + late_ms)

    assert (token.state, token.remaining_ms, token.ended_at_ms) == ("active", 1, None)


def test_an_expiry_is_told_with_its_deadline_by_whatever_clock_it_is_read() -> None:
    """The store's clock found it; that of this host may be years behind."""
    line = b" 4000000000000 1764000000000 0000000000 60000 - - s default session\nann\n3612672000000000\n{}"

    told = [record.decode_event("expired", "00" * 16, b"a" + line, 0), record.decode("00" * 16, b"e" + line, 0)]

    assert [(token.ended_by, token.ended_at_ms) for token in told] == [("life", 4_000_000_000_000)] * 2


@pytest.mark.parametrize("behind_ms", [1, 5_000])
def test_so_is_one_that_no_sweep_has_found_where_the_host_s_clock_is_behind(behind_ms: int) -> None:
    deadline = rules.now_ms() + behind_ms
    line = f"a {deadline:013d} 1764000000000 0000000000 60000 - - s default session\nann\n3612672000000000\n{{}}"

    token = record.decode("00" * 16, line.encode(), 0)

    assert (token.state, token.ended_by, token.ended_at_ms) == ("expired", "life", deadline)


def test_what_a_token_without_a_deadline_did_is_told_as_of_one_for_ever() -> None:
    line = b"a 0000000000000 1764000000000 0000000000 - - - s default session\nann\n3612672000000000\n{}"

    token = record.decode_event("issued", "00" * 16, line, 1_764_000_000_000)

    assert (token.state, token.remaining_ms, token.deadline_at_ms) == ("active", None, None)


@pytest.mark.parametrize("said", [b'"' + b"x" * 4_096 + b'"', b"", b"{", b"1 2", b'"\n"', b'"\xff"', b"[1,]", b"NaN"])
async def test_what_is_no_json_or_too_much_is_refused_before_it_is_written(said: bytes) -> None:
    with pytest.raises(BadInput, match="metadata"):
        Rules().settle(Draft(owner="ann", metadata=Raw(said)))


async def test_4096_bytes_of_json_are_not_too_much(world: World) -> None:
    said = b'"' + b"x" * 4_094 + b'"'

    assert bytes((await world.issue(metadata=Raw(b" " + said + b"\n"))).token.metadata) == said


async def test_a_token_that_was_used_ten_thousand_million_times_goes_on(world: World) -> None:
    """Uses have ten digits; the token of a caller with 25,000 requests a second gets there in five days."""
    issued = await world.issue()
    place = f"{keys.tag(keys.partition(issued.token.id))}t:{keys.short(issued.token.id)}"
    await world.redis.setrange(place, 2 + 28, "9999999998")

    counts = [(await world.tokens.use(issued.text)).uses for _ in range(3)]

    assert counts == [9_999_999_999] * 3
    assert (await world.tokens.renew(issued.text)).owner == "ann"
    assert (await world.tokens.revoke(issued.text)).state == "revoked"
