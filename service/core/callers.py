"""Callers are tokens too: type `service`, whose scopes are grants, bound to a tenant."""

import msgspec

from service.core import rules
from service.core.errors import Forbidden
from service.core.token import SERVICE, Token

ISSUE, USE, READ, REVOKE = "tokens:issue", "tokens:use", "tokens:read", "tokens:revoke"
EVENTS, ACCOUNTS, ADMIN = "events:read", "accounts:write", "admin"
GRANTS = (ISSUE, USE, READ, REVOKE, EVENTS, ACCOUNTS, ADMIN)

DEFAULT_TENANT = "default"
OPERATORS = "operators"  # the tenant of the settings' admin token: no other tenant's callers list or revoke it


class Caller(msgspec.Struct, frozen=True):
    """Who asks.  `id` is the handle of its token."""

    id: str
    tenant: str
    owner: str
    grants: tuple[str, ...]

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.grants

    def acts_for(self, tenant: str | None) -> str:
        """The tenant of this call: an admin names any, others have their own.  Raises `Forbidden`, `BadInput`."""
        if self.is_admin:
            return DEFAULT_TENANT if tenant is None else rules.name("tenant", tenant)
        if tenant not in (None, self.tenant):
            raise Forbidden(id=self.id, needed=ADMIN)
        return self.tenant

    def may_hand_out(self, type_: str, scopes: tuple[str, ...]) -> None:
        """Nobody hands out grants that it does not have.  Raises `Forbidden`."""
        beyond = self._beyond(type_, scopes)
        if beyond:
            raise Forbidden(id=self.id, needed=" ".join(beyond))

    def may_see_text(self, token: Token) -> bool:
        """A text does all that its token may: it is shown to who could issue such a token itself."""
        return self.is_admin or (ISSUE in self.grants and not self._beyond(token.type, token.scopes))

    def _beyond(self, type_: str, scopes: tuple[str, ...]) -> list[str]:
        """The grants among them that it does not have; scopes of other types are no grants."""
        return [] if type_ != SERVICE or self.is_admin else [scope for scope in scopes if scope not in self.grants]


def caller_of(token: Token) -> Caller:
    return Caller(token.id, token.tenant, token.owner, token.scopes)
