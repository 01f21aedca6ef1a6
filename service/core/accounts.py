"""Accounts: a minimal registry of usernames and passwords, for the published APIs that log in with them."""

import asyncio
from typing import Protocol

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from service.core import rules
from service.core.callers import DEFAULT_TENANT
from service.core.errors import BadInput

SHORTEST, LONGEST = 8, 256  # characters of a password
APART = "~"  # between tenant and username in a login: no tenant has it in its name, and a URL carries it as it is
AT_ONCE = 2  # hashes under way: each takes a core and 64 MiB for some 50 ms


class AccountStore(Protocol):
    """Keeps what is known of an account: the argon2id hash of its password."""

    async def put_account(self, tenant: str, username: str, digest: str) -> None: ...

    async def get_account(self, tenant: str, username: str) -> str | None: ...

    async def delete_account(self, tenant: str, username: str) -> bool: ...


class Accounts:
    """argon2id with the parameters of RFC 9106 section 4, second recommended option (the library's default)."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store
        self._hasher = PasswordHasher()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._nobody: str | None = None

    async def put(self, tenant: str, username: str, password: str) -> None:
        """Makes an account or gives it a new password.  Raises `BadInput`."""
        username = check_username(username)
        if not SHORTEST <= len(password) <= LONGEST:
            raise BadInput("password", f"must have from {SHORTEST} to {LONGEST} characters")
        await self._store.put_account(tenant, username, await self._hash(password))

    async def delete(self, tenant: str, username: str) -> bool:
        """Whether there was one."""
        return await self._store.delete_account(tenant, check_username(username))

    async def verify(self, tenant: str, username: str, password: str) -> bool:
        """Takes as long for an unknown user as for a wrong password."""
        found = None if rules.UNPRINTABLE.search(username) else await self._store.get_account(tenant, username)
        if found is None and self._nobody is None:
            self._nobody = await self._hash("nobody has this password")
        async with self._turns:
            right = await asyncio.to_thread(self._matches, found or self._nobody or "", password[: LONGEST + 1])
        return right and found is not None

    async def _hash(self, password: str) -> str:
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, password)

    def _matches(self, digest: str, password: str) -> bool:
        try:
            return self._hasher.verify(digest, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False


def check_username(username: str) -> str:
    return rules.words("username", username, rules.OWNER)


def login_of(tenant: str, username: str) -> str:
    """What is typed to log in where nothing else names the tenant: `ann`, or `shop~ann` for the tenant shop."""
    return username if tenant == DEFAULT_TENANT and whose(username)[0] == tenant else f"{tenant}{APART}{username}"


def whose(login: str) -> tuple[str, str]:
    """The tenant and the username of a login."""
    tenant, apart, username = login.partition(APART)
    return (tenant, username) if apart and rules.NAME.fullmatch(tenant) else (DEFAULT_TENANT, login)
