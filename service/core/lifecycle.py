"""The verbs.  Every voice of the service speaks through these; the store makes each one atomic.

Who asks is said by `by`: the text of the caller's own token, or `HOLDER` when the token asks for itself.  The
caller's token is used, and so renewed, in the same round trip as the token that it asks about.
"""

from collections.abc import Callable, Collection, Sequence
from enum import Enum
from functools import partial
from secrets import token_hex

from msgspec.structs import replace

from service.core import callers, rules
from service.core.callers import Caller, caller_of
from service.core.errors import BadInput, CallerRefused, Conflict, Malformed, Refusal, Unknown
from service.core.rules import Rules
from service.core.seal import Sealer
from service.core.store import ANY_TENANT, Ask, Asking, Form, Found, Store, Tell
from service.core.text import Texts, new_handle, partition_in
from service.core.token import Change, Draft, Issued, Token, Words, etag, given
from service.core.watch import AUTHORIZE, SILENT, Watch, about, counted, counted_each, failed, told

OVERLAP_MS = 10_000  # how long a rotated text lives on when nothing is said: the requests that are on their way
MANY = 1_000  # tokens in one call
OWNER_CALL = 500  # tokens revoked for an owner by one call: about 10 ms of the store's time


class Holder(Enum):
    HOLDER = "holder"


HOLDER = Holder.HOLDER
By = str | None | Holder


class Tokens:
    """The life of tokens.  Every method raises `Unavailable` when the store cannot answer."""

    def __init__(self, store: Store, texts: Texts, sealer: Sealer, limits: Rules, watch: Watch = SILENT) -> None:
        self.store, self.texts, self.sealer, self.rules, self.watch = store, texts, sealer, limits, watch

    async def authorize(self, caller: str | None, grant: str) -> Caller:
        """Uses the caller's token.  Raises `CallerRefused`."""
        return await counted(self.watch, AUTHORIZE, self._authorize(caller, grant))

    async def use(self, text: str | None, *, by: By = HOLDER, scopes: tuple[str, ...] = ()) -> Token:
        """Checks a token and puts it back to full life.  Raises a `Refusal`, and then changed nothing."""
        return await counted(self.watch, "use", self._present("use", text, by, callers.USE, scopes))

    async def peek(self, text: str | None, *, by: By = HOLDER, scopes: tuple[str, ...] = ()) -> Token:
        """Looks at a token; changes nothing.  Raises a `Refusal`."""
        return await counted(self.watch, "peek", self._present("peek", text, by, callers.USE, scopes))

    def asking(
        self, verb: str, text: str | None, *, by: By = HOLDER, scopes: tuple[str, ...] = (), form: Form | None = None
    ) -> Asking:
        """A use or peek to come, as often as one likes.  Raises `Refusal` and `BadInput`."""
        rules.asked(scopes)
        caller = None if isinstance(by, Holder) else self.texts.open(by)
        ask = Ask(verb, self.texts.open(text), caller, callers.USE if caller else None, scopes)
        return Asking(ask, self.store.question(ask), self.texts.keyed, form)

    def present_soon(self, asking: Asking, tell: Tell) -> None:
        """Puts it without a task: `tell` hears of it.  Raises `Malformed` once the keys have changed."""
        if asking.keyed is not self.texts.keyed:
            raise Malformed
        self.store.present_soon(asking, partial(told, self.watch, asking.ask.verb, tell))

    async def many(self, verb: str, texts: Sequence[str], by: str | None, form: Form | None = None) -> Found:
        """use, peek or revoke of up to 1,000 texts in one round trip; a refusal stands in its token's place."""
        if len(texts) > MANY:
            raise BadInput("tokens", f"at most {MANY} in one call")
        return await counted_each(self.watch, verb, len(texts), self._many(verb, texts, by, form))

    async def _many(self, verb: str, texts: Sequence[str], by: str | None, form: Form | None) -> Found:
        opened = self.texts.open_each(texts)
        ids = [one for one in opened if isinstance(one, str)]
        if verb == "revoke" or not ids:
            caller = await self._authorize(by, callers.REVOKE if verb == "revoke" else callers.USE)
            found = await self._revoke(ids, caller, "request") if ids else []
        else:
            found = await self.store.present_many(Ask(verb, None, self._caller(by), callers.USE), ids, form)
            for refusal in [one for one in found if isinstance(one, CallerRefused)]:
                raise refusal
        answers = iter(found)
        return [next(answers) if isinstance(one, str) else one for one in opened]

    async def issue(self, draft: Draft, *, dressing: str | None = None) -> Issued:
        """A new token.  The caller was authorized before: see `Caller.may_hand_out`.  Raises `BadInput`."""
        draft = self.rules.settle(draft)
        text, id_ = self.texts.mint(self.store.partition(draft.tenant, draft.owner), dressing)
        return Issued(await self.issue_as(id_, draft, text), text)

    async def issue_as(self, id_: str, draft: Draft, text: str | None) -> Token:
        """Issues under a handle that was chosen before, so that it can be repeated.  The draft is settled."""
        sealed = self.sealer.seal(text, "recoverable", id_) if draft.recoverable and text else None
        return await self.store.issue(id_, draft, Words(draft.description, draft.metadata, sealed))

    async def issue_written(self, draft: Draft, write: Callable[[str], str]) -> Issued:
        """A new token whose text is not of our form: `write` makes it from the handle (see `Texts.also`)."""
        draft = self.rules.settle(draft)
        id_ = new_handle(self.store.partition(draft.tenant, draft.owner))
        text = write(id_)
        return Issued(await self.issue_as(id_, draft, text), text)

    async def enroll(self, draft: Draft) -> Token:
        """A token without a text, which only its handle names, and which is its own owner whatever the draft says.

        So it shares one partition, and the order of events, with all that it will own.
        """
        while True:  # as often as there are partitions, on average
            id_ = new_handle(self.store.partition(draft.tenant, token_hex()))
            if self.store.partition(draft.tenant, id_) == partition_in(id_):
                return await self.issue_as(id_, self.rules.settle(replace(draft, owner=id_)), None)

    async def look(self, id_: str, by: str | None) -> Token:
        """A token by its handle, final ones too."""
        return await counted(self.watch, "look", self._look(id_, by))

    async def _look(self, id_: str, by: str | None) -> Token:
        return await self.store.present(Ask("look", rules.handle(id_), self._caller(by), callers.READ))

    async def renew(self, text: str | None, *, by: By = HOLDER) -> Token:
        """Puts a token back to full life on request."""
        return await counted(self.watch, "renew", self._renew(lambda: self.texts.open(text), by))

    async def renew_by_id(self, id_: str, by: str | None) -> Token:
        return await counted(self.watch, "renew", self._renew(lambda: rules.handle(id_), by))

    async def revoke(self, text: str | None, *, by: By = HOLDER, reason: str = "request") -> Token:
        """Ends a token now.  Repeating it answers the same and changes nothing.  Raises `Unknown`."""
        return await counted(self.watch, "revoke", self._revoke_by(lambda: self.texts.open(text), by, reason))

    async def revoke_by_id(self, id_: str, by: str | None, reason: str = "request") -> Token:
        return await counted(self.watch, "revoke", self._revoke_by(lambda: rules.handle(id_), by, reason))

    async def end(self, token: Token, reason: str = "request") -> Token:
        """Ends a token that was looked up.  Whoever asks was authorized before, for this very token."""
        return await counted(self.watch, "revoke", self._revoke_one(token.id, token.tenant, reason))

    async def revoke_owner(
        self, caller: Caller, tenant: str, owner: str, *, type_: str | None, spared: Sequence[str], dry: bool
    ) -> tuple[int, bool]:
        """Ends what an owner has, up to 500 a call: how many, and whether to call again."""
        rules.words("owner", owner, rules.OWNER)
        if len(spared) > MANY:
            raise BadInput("except", f"at most {MANY} in one call")
        if not all(rules.HANDLE.fullmatch(id_) for id_ in spared):
            raise BadInput("except", "names something that is not the handle of a token")
        tenant = caller.acts_for(tenant)
        return await self.store.revoke_owner(tenant, owner, type_, "owner", spared, OWNER_CALL, dry=dry)

    async def rotate(self, text: str | None, *, by: By = HOLDER, overlap_ms: int = OVERLAP_MS) -> Issued:
        """A successor; the old text works on for the overlap.  Rotating it again answers the same successor."""
        rules.between("overlap_ms", overlap_ms, 0, self.rules.max_life_ms)
        return await counted(self.watch, "rotate", self._rotate(text, by, overlap_ms))

    async def _rotate(self, text: str | None, by: By, overlap_ms: int) -> Issued:
        old = await self._present("peek", text, by, callers.ISSUE)
        dressing, secret = self.texts.parts(text or "")
        new_text, new_id = self.texts.mint(self.store.partition(old.tenant, old.owner), dressing)
        sealed = self.sealer.seal(new_text, "recoverable", new_id) if old.sealed else None
        words = Words(old.description, old.metadata, sealed, old.id)
        box = self.sealer.seal(new_text, "successor", secret)
        token, kept = await self.store.rotate(old, overlap_ms, new_id, words, box)
        successor = self.sealer.open(kept, "successor", secret)
        if successor is None:
            raise Conflict("successor_lost", "The token was rotated under a signing key that was removed since.")
        return Issued(token, successor)

    async def amend(self, id_: str, change: Change, by: str | None, if_match: Collection[str] = ()) -> Token:
        """Changes the words, life or scopes of an active token.

        if_match: etags that it may have, '*' being any; none: whatever it has.  Raises `Conflict` when it has another.
        """
        return await counted(self.watch, "amend", self._amend(id_, change, by, if_match))

    async def _amend(self, id_: str, change: Change, by: str | None, if_match: Collection[str]) -> Token:
        caller = await self._authorize(by, callers.ISSUE)
        while True:
            seen = await self.store.present(Ask("look", rules.handle(id_), caller.id, callers.ISSUE))
            if if_match and not {"*", etag(seen)}.intersection(if_match):
                raise Conflict("changed", "The token was changed since it was read.")
            life, scopes, words = self._amended(seen, change)
            caller.may_hand_out(seen.type, scopes)
            amended = await self.store.amend(seen, life, scopes, words)
            if amended is not None:
                return amended

    def recover(self, token: Token) -> str | None:
        """The text of a recoverable token, for callers that may see it: see `Caller.may_see_text`."""
        return self.sealer.open(token.sealed, "recoverable", token.id) if token.sealed else None

    def _amended(self, seen: Token, change: Change) -> tuple[int | None, tuple[str, ...], Words]:
        life = self.rules.life("life_ms", given(change.life_ms, seen.life_ms))
        scopes = rules.scopes(given(change.scopes, seen.scopes))
        description = given(change.description, seen.description)
        if description is not None:
            rules.words("description", description, rules.DESCRIPTION)
        metadata = rules.metadata(given(change.metadata, seen.metadata))
        return life, scopes, Words(description, metadata, seen.sealed, seen.rotated_from)

    async def _present(self, verb: str, text: str | None, by: By, grant: str, scopes: tuple[str, ...] = ()) -> Token:
        rules.asked(scopes)  # they travel as words of a line: one with a line break would be another presentation
        caller = None if isinstance(by, Holder) else self._caller(by)
        try:
            subject = self.texts.open(text)
        except Refusal as refusal:
            if caller is not None:
                await self.store.present(Ask("use", None, caller, grant))
            about(verb, None)
            failed(refusal)
            raise
        return await self.store.present(Ask(verb, subject, caller, grant if caller else None, scopes))

    async def _authorize(self, caller: str | None, grant: str) -> Caller:
        return caller_of(await self.store.present(Ask("use", None, self._caller(caller), grant)))

    async def _tenant(self, by: By, grant: str) -> str:
        """Whose tokens the call may be about."""
        if isinstance(by, Holder):
            return ANY_TENANT
        caller = await self._authorize(by, grant)
        return ANY_TENANT if caller.is_admin else caller.tenant

    async def _renew(self, which: Callable[[], str], by: By) -> Token:
        tenant = await self._tenant(by, callers.USE)  # of who may not ask, nothing is looked at
        return await self.store.renew(which(), tenant)

    async def _revoke_by(self, which: Callable[[], str], by: By, reason: str) -> Token:
        tenant = await self._tenant(by, callers.REVOKE)
        return await self._revoke_one(which(), tenant, reason)

    async def _revoke_one(self, id_: str, tenant: str, reason: str) -> Token:
        rules.check("reason", reason, rules.REASON, "a word of lower-case letters, 32 at most")
        [token] = await self.store.revoke([id_], tenant, reason)
        if token is None:
            raise Unknown
        return token

    async def _revoke(self, ids: Sequence[str], caller: Caller, reason: str) -> Found:
        found = await self.store.revoke(ids, ANY_TENANT if caller.is_admin else caller.tenant, reason)
        return [one or Unknown() for one in found]

    def _caller(self, text: str | None) -> str:
        try:
            return self.texts.open(text)
        except Refusal as refusal:
            raise CallerRefused(refusal) from None
