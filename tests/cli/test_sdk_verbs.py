"""What each method of the SDK gives, and what it raises when the service says no."""

import aiohttp
import msgspec
import pytest

from service.api.views import View
from service.client import BadInput, CallerRefused, Client, Conflict, Refusal, TokenView
from service.core import errors
from tests.cli.conftest import ADMIN
from tests.servers import Service, wait_until


def text_of(view: TokenView) -> str:
    assert view.token is not None
    return view.token


async def test_a_token_is_issued_used_looked_at_and_ended(client: Client) -> None:
    issued = await client.issue("ann", life_ms=60_000, uses=5, scopes=["read"], metadata={"ip": "10.0.0.1"})

    used = await client.use(text_of(issued), scopes=["read"])
    peeked = await client.peek(text_of(issued))
    ended = await client.revoke(text_of(issued))

    assert (issued.owner, issued.type, issued.tenant, issued.metadata) == (
        "ann",
        "session",
        "default",
        {"ip": "10.0.0.1"},
    )
    assert (used.uses, used.uses_left, used.active) == (1, 4, True)
    assert peeked.uses == 1
    assert (ended.state, ended.ended_by, ended.remaining_ms) == ("revoked", "request", 0)


async def test_what_the_service_shows_of_a_token_the_sdk_has_a_place_for() -> None:
    shown = {field.name for field in msgspec.structs.fields(View)}

    assert {field.name for field in msgspec.structs.fields(TokenView)} == shown | {"etag"}


async def test_a_life_of_none_is_for_ever(client: Client) -> None:
    issued = await client.issue("ann", life_ms=None)

    assert (issued.life_ms, issued.remaining_ms, issued.expires_at_ms) == (None, None, None)


async def test_what_is_known_of_a_token_by_its_handle(client: Client) -> None:
    issued = await client.issue("ann")

    found = await client.get(issued.id)
    renewed = await client.renew_by_id(issued.id)
    ended = await client.revoke_by_id(issued.id)

    assert (found.id, found.token, renewed.active, ended.state) == (issued.id, None, True, "revoked")


async def test_a_change_of_what_was_changed_meanwhile_is_refused(client: Client) -> None:
    issued = await client.issue("ann", description="old")
    seen = await client.get(issued.id)
    amended = await client.amend(issued.id, description="new", if_match=seen.etag)

    with pytest.raises(Conflict) as refused:
        await client.amend(issued.id, description="newer", if_match=seen.etag)

    assert refused.value.code == "changed"
    assert (amended.description, amended.etag) == ("new", (await client.get(issued.id)).etag)
    assert (await client.amend(issued.id, description=None)).description is None


async def test_a_rotated_text_works_on_for_the_overlap(client: Client) -> None:
    old = await client.issue("ann")

    new = await client.rotate(text_of(old), overlap_ms=30_000)
    again = await client.rotate(text_of(old), overlap_ms=30_000)

    assert new.rotated_from == old.id
    assert text_of(again) == text_of(new)
    assert (await client.peek(text_of(old))).rotated_to == new.id


async def test_a_holder_needs_nothing_but_its_token(client: Client, service: Service) -> None:
    issued = await client.issue("ann")

    async with Client(service.url, text_of(issued)) as holder:
        seen = [await holder.self_peek(), await holder.self_renew(), await holder.self_revoke()]

    assert [view.id for view in seen] == [issued.id] * 3
    assert seen[-1].state == "revoked"


async def test_a_batch_answers_in_the_order_of_the_texts(client: Client) -> None:
    first, last = await client.issue("ann"), await client.issue("bob")

    found = await client.batch("use", [text_of(first), "nobody's", text_of(last)])

    assert [type(one) for one in found] == [TokenView, errors.Unknown, TokenView]
    assert [one.owner for one in found if isinstance(one, TokenView)] == ["ann", "bob"]


async def test_a_batch_may_be_larger_than_one_call_takes(client: Client) -> None:
    text = text_of(await client.issue("ann"))

    found = await client.batch("use", [text] * 1_200)

    assert len(found) == 1_200
    assert (await client.peek(text)).uses == 1_200


async def test_a_list_goes_on_over_all_pages(client: Client) -> None:
    made = [await client.issue("lister", type="paged") for _ in range(7)]

    found = [view.id async for view in client.list(owner="lister", limit=3)]
    page = await client.page(owner="lister", limit=3, order="asc")
    counts = await client.count(owner="lister")

    assert found == [view.id for view in reversed(made)]
    assert [view.id for view in page.items] == [view.id for view in made[:3]]
    assert (counts.total, counts.by_state["active"], counts.by_type["paged"]) == (7, 7, 7)


async def test_all_tokens_of_an_owner_but_the_spared_ones_end(client: Client) -> None:
    owner = "everything/of ./../me?"
    kept, *_ = [await client.issue(owner) for _ in range(3)]

    would = await client.revoke_owner(owner, spared=[kept.id], dry_run=True)
    done = await client.revoke_owner(owner, spared=[kept.id])

    assert (would.revoked, would.more, done.revoked, done.more) == (2, False, 2, False)
    assert [view.id async for view in client.list(owner=owner, state="active")] == [kept.id]


async def test_each_refusal_is_an_exception_with_its_evidence(client: Client) -> None:
    spent = await client.issue("ann", uses=1)
    await client.use(text_of(spent))
    ended = await client.issue("ann")
    await client.revoke(text_of(ended))
    plain = await client.issue("ann")

    refusals = {
        kind: await refused(client, text)
        for kind, text in {
            errors.Consumed: text_of(spent), errors.Revoked: text_of(ended), errors.Unknown: "tl_nobody's",
        }.items()
    }  # fmt: skip
    with pytest.raises(errors.Forbidden) as forbidden:
        await client.use(text_of(plain), scopes=["write"])

    assert {kind: type(refusal) for kind, refusal in refusals.items()} == {kind: kind for kind in refusals}
    assert refusals[errors.Revoked].evidence["id"] == ended.id
    assert refusals[errors.Consumed].evidence["ended_at_ms"] >= spent.created_at_ms  # type: ignore[operator]
    assert forbidden.value.evidence == {"id": plain.id, "needed": "write"}


async def refused(client: Client, text: str) -> Refusal:
    with pytest.raises(Refusal) as no:
        await client.use(text)
    return no.value


async def test_an_expired_token_says_when(client: Client) -> None:
    short = await client.issue("ann", life_ms=30)

    async def expired() -> bool:
        try:
            await client.peek(text_of(short))
        except errors.Expired as refusal:
            return refusal.evidence["expired_at_ms"] == short.expires_at_ms
        return False

    await wait_until(expired)


async def test_a_callers_own_token_is_told_apart_from_the_one_it_asks_about(client: Client, service: Service) -> None:
    subject, weak = await client.issue("ann"), await client.issue("app", type="service", scopes=["tokens:use"])

    async with (
        Client(service.url, "nobody's") as nobody,
        Client(service.url, text_of(weak)) as user,
        Client(service.url) as mute,
    ):
        with pytest.raises(CallerRefused) as unknown:
            await nobody.use(text_of(subject))
        with pytest.raises(CallerRefused) as lacking:
            await user.revoke(text_of(subject))
        with pytest.raises(CallerRefused) as silent:
            await mute.use(text_of(subject))

    assert isinstance(unknown.value.refusal, errors.Unknown)
    assert isinstance(lacking.value.refusal, errors.Forbidden)
    assert isinstance(silent.value.refusal, errors.Missing)


async def test_a_value_that_cannot_be_taken_names_its_field(client: Client) -> None:
    with pytest.raises(BadInput) as low:
        await client.issue("ann", life_ms=0)
    with pytest.raises(BadInput) as odd:
        await client.issue("ann", type="No Type")

    assert low.value.field == "life_ms"
    assert odd.value.field == "type"
    assert not odd.value.message.startswith("type")


async def test_one_key_issues_one_token(client: Client) -> None:
    first = await client.issue("ann", idempotency_key="order 66")
    again = await client.issue("ann", idempotency_key="order 66")

    with pytest.raises(Conflict) as other:
        await client.issue("bob", idempotency_key="order 66")

    assert (again.id, again.token) == (first.id, first.token)
    assert other.value.code == "idempotency_key_reused"


async def test_accounts_are_set_and_forgotten(client: Client) -> None:
    await client.set_account("ann", "correct horse")
    await client.set_account("ann", "battery staple")
    await client.delete_account("ann")

    with pytest.raises(errors.BadInput, match="username"):
        await client.delete_account("ann")


async def test_health_says_that_the_store_answers(client: Client) -> None:
    await client.live()

    health = await client.health()

    assert (health.ready, health.draining, health.store) == (True, False, True)


async def test_nothing_that_is_shown_holds_a_text(client: Client) -> None:
    issued = await client.issue("ann", recoverable=True)
    listed = await client.page(owner="ann", limit=1)

    assert listed.items[0].token == text_of(issued)
    assert text_of(issued) not in repr([issued, listed])
    assert ADMIN not in repr([client, vars(client)])


async def test_a_session_that_was_handed_in_stays_open(service: Service) -> None:
    async with aiohttp.ClientSession() as session:
        async with Client(service.url, ADMIN, session=session) as client:
            await client.issue("ann")

        assert not session.closed


async def test_a_text_that_no_header_may_hold_is_refused_before_it_is_sent(service: Service) -> None:
    async with Client(service.url, "two\r\nlines") as client:
        with pytest.raises(BadInput) as refused:
            await client.self_peek()

    assert refused.value.field == "token"
    assert "lines" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["tokenlife:8080", "ftp://tokenlife", "http://ann:secret@tokenlife", "http://tokenlife/?key=secret"]
)
def test_a_url_that_cannot_be_used_is_refused_at_once(url: str) -> None:
    with pytest.raises(BadInput) as refused:
        Client(url)

    assert refused.value.field == "url"
    assert "secret" not in str(refused.value)
