"""What is written of a record in a voice's form is what the voice says of its token, byte for byte."""

import random
from collections.abc import Callable, Sequence

import msgspec
import pytest
from msgspec import Raw

from service.api import gateways
from service.api.views import form, view
from service.core.store import Ask, Form
from service.core.token import Issued, Token
from service.store import keys
from service.store.batch import Answer
from service.store.forms import written
from service.store.questions import outcome
from tests.store.test_records import OWNERS, dumped, made_up
from tests.world import World

Said = Callable[[str, Answer], bytes]

ASK = Ask("use", None)
FULL = 60_000


async def answers(
    world: World, tokens: Sequence[Issued], word: str = "ok", left: int = FULL
) -> list[tuple[str, Answer]]:
    """As if they had been used, of what the store holds."""
    places = [f"{keys.tag(keys.partition(one.token.id))}t:{keys.short(one.token.id)}" for one in tokens]
    return [(one.token.id, (word, left, await world.redis.get(at))) for one, at in zip(tokens, places, strict=True)]


def token(id_: str, answer: Answer) -> Token:
    """The way that every other call takes."""
    found = outcome(ASK, id_, answer)
    assert isinstance(found, Token)
    return found


def said(id_: str, answer: Answer) -> bytes:
    return msgspec.json.encode(view(token(id_, answer)))


def said_to_gateways(id_: str, answer: Answer) -> bytes:
    return "".join(f"{name}: {word}\r\n" for name, word in gateways.identity(token(id_, answer)).items()).encode()


@pytest.mark.parametrize(("form", "said"), [(form, said), (gateways.form, said_to_gateways)], ids=["json", "headers"])
async def test_whatever_a_token_holds(world: World, seed: int, form: Form, said: Said) -> None:
    dice = random.Random(seed)
    tokens = [await world.issue(life_ms=FULL, scopes=("a:b", "%s"), sliding=False, refreshable=True)]
    for owner in OWNERS:
        words, metadata = dice.choice(["100 %", "%b %d", 'é"\\', None]), dumped(made_up(dice, 1), dice.random() < 0.5)
        tokens.append(await world.issue(owner, life_ms=FULL, description=words, metadata=Raw(metadata)))
    for one in tokens:
        for _ in range(dice.randrange(12)):
            await world.tokens.use(one.text)

    found = [(written(form, *one), said(*one)) for one in await answers(world, tokens)]

    in_form = [(short, usual) for short, usual in found if short]
    assert [short for short, _ in in_form] == [usual for _, usual in in_form]
    assert len(in_form) >= len(tokens) - 3  # but for owners of 256 characters, which make a record long


async def test_a_gateway_hears_of_a_limited_token_in_its_form_too(world: World) -> None:
    """It is told neither uses nor a ceiling; but one without end has no deadline to tell."""
    limited = [await world.issue(life_ms=FULL, uses=3), await world.issue(life_ms=FULL, ceiling_ms=FULL)]
    [one, other, endless] = await answers(world, [*limited, await world.issue(life_ms=None)])

    assert [written(gateways.form, *one), written(gateways.form, *other)] == [
        said_to_gateways(*each) for each in (one, other)
    ]
    assert written(gateways.form, *endless) is None


async def test_of_what_no_form_holds_nothing_is_written(world: World) -> None:
    plain, old = await world.issue(life_ms=FULL), await world.issue(life_ms=FULL)
    await world.tokens.rotate(old.text)
    others = [
        old,  # it has a ceiling now
        await world.issue(life_ms=None),
        await world.issue(life_ms=FULL, uses=3),
        await world.issue(life_ms=FULL, ceiling_ms=FULL),
        await world.issue(life_ms=FULL, metadata=Raw(b'"' + b"x" * 600 + b'"')),
    ]
    [before] = await answers(world, [plain])
    await world.tokens.revoke(plain.text)
    [revoked] = await answers(world, [plain])

    assert [written(form, *one) for one in await answers(world, others)] == [None] * 5
    assert written(form, *revoked) is None
    assert written(form, *before) == said(*before)


@pytest.mark.parametrize(
    ("word", "left"), [("ok", 0), ("ok", -1), ("ok", FULL + 1), ("consumed", FULL), ("unknown", 1)]
)
async def test_what_is_no_success_or_out_of_the_common_is_looked_at(world: World, word: str, left: int) -> None:
    """A life that is over, one without end, one that a clock that was set back makes longer than it is."""
    [one] = await answers(world, [await world.issue(life_ms=FULL)], word, left)

    assert written(form, *one) is None


@pytest.mark.parametrize("place", [0, 1], ids=["deadline", "last use"])
async def test_a_moment_with_zeros_before_it_is_no_number_of_json(world: World, place: int) -> None:
    [(id_, (word, left, record))] = await answers(world, [await world.issue(life_ms=FULL)])
    state, *moments = record.split(b" ", 3)
    moments[place] = b"0000000000009"

    assert written(form, id_, (word, left, b" ".join([state, *moments]))) is None
