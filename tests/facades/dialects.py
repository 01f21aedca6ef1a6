"""The four dialects, each as a caller of it sees it: what it calls, how it logs in, and how it is told no."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

from service.core.accounts import login_of
from service.core.jwts import Jwts
from service.core.text import Texts, new_handle
from tests.facades.conftest import SIGNING_KEYS, Here, Reply

KEYS = SIGNING_KEYS.split(",")
PASSWORD = "correct horse battery"

Login = Mapping[str, str | None]  # headers, with `_` for `-`; for Sarus parameters of the query
No = tuple[int, object]  # the status, and the dialect's own word for it


class Call(NamedTuple):
    method: str
    path: str
    body: Any = None


def never_issued(dressing: str = "tl_") -> str:
    """A text that was signed here and belongs to no token."""
    return Texts(KEYS).mint(3, dressing)[0]


def forged(text: str) -> str:
    return text[:-1] + ("A" if text[-1] != "A" else "E")


class Dialect(Protocol):
    here: Here
    tenant: str
    good: Login
    outage: No

    async def prepare(self) -> None:
        """Makes a caller's credential (`good`) and one token."""

    async def issue(self) -> str:
        """The text of a new token."""

    def calls(self) -> list[Call]:
        """Every call there is, the ones that end something last."""

    async def wrong(self) -> list[tuple[str, Login, list[No]]]:
        """Wrong logins by name, each with what it is told: by every call, or by each one in the order of `calls`."""

    async def ask(self, call: Call, login: Login) -> Reply: ...

    def no(self, reply: Reply) -> No:
        """Checks the envelope of a failure."""


class WePay:
    outage: No = (503, "SERVICE_TEMPORARILY_UNAVAILABLE")

    def __init__(self, here: Here, tenant: str) -> None:
        self.here, self.tenant = here, tenant

    async def prepare(self) -> None:
        grants = ("tokens:issue", "tokens:read", "tokens:revoke")
        self.good: Login = {
            "App_Id": self.tenant,
            "App_Token": (await self.here.caller(self.tenant, *grants))["token"],
        }
        self.id = await self.here.id_of(await self.issue())

    async def issue(self) -> str:
        made = await self.ask(self.calls()[0], self.good)
        assert made.status == 200, made.body
        return str(made.json()["session_token"])

    async def item(self, id_: str) -> Any:
        """A token as the list shows it; None when it is not there."""
        listed = (await self.ask(Call("GET", "/session_tokens"), self.good)).json()["results"]
        return next((item for item in listed if item["id"] == id_), None)

    def calls(self) -> list[Call]:
        one = f"/session_tokens/{getattr(self, 'id', '')}"
        return [
            Call("POST", "/session_tokens", {"type": "mobile_session", "mobile_session": {"account_id": "ann"}}),
            Call("GET", "/session_tokens"),
            Call("GET", one),
            Call("DELETE", one),
        ]

    async def wrong(self) -> list[tuple[str, Login, list[No]]]:
        here, text = self.here, str(self.good["App_Token"])
        caller = await here.caller(self.tenant, "tokens:issue", "tokens:read", "tokens:revoke")
        expired, weak = await here.caller(self.tenant, "admin"), await here.caller(self.tenant, "events:read")
        others = await here.caller(f"{self.tenant}-other", "tokens:issue", "tokens:read", "tokens:revoke")
        await here.native("DELETE", f"/v1/tokens/{caller['id']}")
        here.expire(expired["id"])
        bad = {
            "missing": None, "malformed": "x", "forged": forged(text), "never issued": never_issued(),
            "revoked": caller["token"], "expired": expired["token"], "another tenant's": others["token"],
            "without the grants": weak["token"], "a session's": await self.issue(),
        }  # fmt: skip
        logins: dict[str, Login] = {name: {**self.good, "App_Token": one} for name, one in bad.items()}
        logins["no App-Id"] = {**self.good, "App_Id": None}
        logins["another App-Id"] = {**self.good, "App_Id": f"{self.tenant}-other"}
        return [(name, login, [(403, "NOT_AUTHORIZED")]) for name, login in logins.items()]

    async def ask(self, call: Call, login: Login) -> Reply:
        headers = {"Api_Version": "3.0", "Content_Type": "application/json", **login}
        return await self.here.ask(call.method, call.path, call.body, **headers)

    def no(self, reply: Reply) -> No:
        body = reply.json()
        assert list(body) == ["error_code", "error_message", "details"]
        assert all(list(detail) == ["message", "reason_code", "target", "target_type"] for detail in body["details"])
        assert body["details"]
        assert "X-Correlation-Id" in reply.headers
        return reply.status, body["error_code"]


class Sarus:
    outage: No = (500, "Server may be down for maintenance.")

    def __init__(self, here: Here, tenant: str) -> None:
        self.here, self.tenant = here, tenant

    async def prepare(self) -> None:
        self.key = (await self.here.caller(self.tenant, "tokens:issue"))["token"]
        self.good: Login = {"APIKey": self.key, "SessionToken": await self.issue()}

    async def issue(self) -> str:
        made = await self.ask(Call("GET", "/GetSessionToken"), {"APIKey": self.key})
        assert made.status == 200, made.body
        return str(made.json()["Result"]["SessionToken"])

    async def remaining(self, text: str) -> Any:
        return (await self.ask(Call("GET", "/QuerySessionToken"), {"SessionToken": text})).json()["Result"]["Remaining"]

    def calls(self) -> list[Call]:
        names = ["GetSessionToken", "QuerySessionToken", "SessionTokenExpires", "RenewSessionToken"]
        return [Call("GET", f"/{name}") for name in [*names, "RevokeSessionToken"]]

    async def wrong(self) -> list[tuple[str, Login, list[No]]]:
        here, text = self.here, str(self.good["SessionToken"])
        key, expired_key = await here.caller(self.tenant, "tokens:issue"), await here.caller(self.tenant, "admin")
        revoked, expired = await self.issue(), await self.issue()
        ids = [key["id"], await here.id_of(revoked)]
        here.expire(await here.id_of(expired))
        here.expire(expired_key["id"])
        for id_ in ids:
            await here.native("DELETE", f"/v1/tokens/{id_}")
        await here.native("PUT", "/v1/accounts/ann", {"password": PASSWORD, "tenant": self.tenant})

        def told(key_no: No, token_no: No) -> list[No]:
            return [key_no] + [token_no] * 4

        bad_key: No = (401, "Invalid or unknown credentials.")
        unknown: No = (401, "Invalid or unknown session token.")
        missing = told((400, "Missing APIKey, or email and Password."), (400, "Missing Session Token."))
        gone = told(bad_key, (410, "Session Token has expired."))
        return [
            ("missing", {}, missing),
            ("empty", {"APIKey": "", "SessionToken": ""}, missing),
            ("malformed", {"APIKey": "x", "SessionToken": "x"}, told(bad_key, unknown)),
            ("forged", {"APIKey": forged(self.key), "SessionToken": forged(text)}, told(bad_key, unknown)),
            ("never issued", {"APIKey": never_issued(), "SessionToken": never_issued()}, told(bad_key, unknown)),
            ("revoked", {"APIKey": key["token"], "SessionToken": revoked}, told(bad_key, unknown)),
            ("expired", {"APIKey": expired_key["token"], "SessionToken": expired}, gone),
            ("another tenant's", {"email": "ann", "Password": PASSWORD, "SessionToken": "x"}, told(bad_key, unknown)),
            ("the wrong password", {"email": f"{self.tenant}~ann", "Password": "x" * 8}, [bad_key, *missing[1:]]),
        ]

    async def ask(self, call: Call, login: Login) -> Reply:
        query = urlencode({name: value for name, value in login.items() if value is not None})
        return await self.here.ask(call.method, f"{call.path}?{query}")

    def no(self, reply: Reply) -> No:
        body = reply.json()
        assert list(body) == ["ServerDateTime", "TimeStamp", "ExecutionTime", "Errors"]
        [only] = body["Errors"]
        assert only["Status"] == reply.status
        return reply.status, only["Detail"]


class Taler:
    outage: No = (503, 53)

    def __init__(self, here: Here, tenant: str) -> None:
        self.here, self.tenant = here, tenant
        self.username = login_of(tenant, "ann")

    async def prepare(self) -> None:
        await self.here.native("PUT", "/v1/accounts/ann", {"password": PASSWORD, "tenant": self.tenant})
        self.password: Login = {"Authorization": basic(self.username, PASSWORD)}
        self.good: Login = self.password  # whose hash takes a core for some 50 ms, so from here on a token logs in
        self.good = {"Authorization": f"Bearer {await self.issue()}"}

    async def issue(self, description: str = "of a test") -> str:
        body = {"scope": "readwrite", "refreshable": True, "description": description}
        made = await self.ask(Call("POST", f"/accounts/{self.username}/token", body), self.good)
        assert made.status == 200, made.body
        return str(made.json()["access_token"])

    async def listed(self, description: str) -> Any:
        """The token of this description as the list shows it; None when it is not there."""
        reply = await self.ask(Call("GET", f"/accounts/{self.username}/tokens?limit=-1000"), self.good)
        infos = reply.json()["tokens"] if reply.status == 200 else []
        return next((info for info in infos if info.get("description") == description), None)

    def calls(self) -> list[Call]:
        account = f"/accounts/{self.username}"
        return [
            Call("POST", f"{account}/token", {"scope": "readonly"}),
            Call("GET", f"{account}/tokens"),
            Call("DELETE", f"{account}/tokens/1"),
            Call("DELETE", f"{account}/token"),
        ]

    async def wrong(self) -> list[tuple[str, Login, list[No]]]:
        here = self.here
        revoked, expired = await self.issue(), await self.issue()
        ids = [await here.id_of(text) for text in (revoked, expired)]
        await here.native("DELETE", f"/v1/tokens/{ids[0]}")
        here.expire(ids[1])
        other, stranger = Taler(here, f"{self.tenant}-other"), login_of(self.tenant, "bob")
        await other.prepare()
        await here.native("PUT", "/v1/accounts/bob", {"password": PASSWORD, "tenant": self.tenant})
        bad: list[tuple[str, str | None, No]] = [
            ("missing", None, (401, 25)),
            ("malformed", "Bearer", (400, 23)),
            ("no token", "Bearer x", (400, 23)),
            ("no Basic", "Basic x", (400, 23)),
            ("another scheme", "Digest x", (401, 40)),
            ("forged", f"Bearer {forged(revoked)}", (401, 41)),
            ("never issued", f"Bearer {never_issued('secret-token:')}", (401, 41)),
            ("revoked", f"Bearer {revoked}", (401, 41)),
            ("expired", f"Bearer {expired}", (401, 42)),
            ("another tenant's", other.good["Authorization"], (403, 44)),
            ("another user's password", basic(stranger, PASSWORD), (403, 44)),
            ("the wrong password", basic(self.username, "x" * 8), (401, 40)),
            ("an unknown user", basic("nobody", PASSWORD), (401, 40)),
        ]
        return [(name, {"Authorization": value}, [told]) for name, value, told in bad]

    async def ask(self, call: Call, login: Login) -> Reply:
        return await self.here.ask(call.method, call.path, call.body, **login)

    def no(self, reply: Reply) -> No:
        body = reply.json()
        assert isinstance(body["code"], int)
        assert isinstance(body["hint"], str)
        return reply.status, body["code"]


class OneSpan:
    outage: No = (503, "Server or application error.")

    def __init__(self, here: Here, tenant: str) -> None:
        self.here, self.tenant = here, tenant

    async def prepare(self) -> None:
        made = await self.credential(self.tenant)
        self.good: Login = {"Authorization": made["authorization"]}
        self.id = (await self.ask(Call("PUT", "/api/transaction/", {}), self.good)).json()["id"]

    async def credential(self, tenant: str) -> Any:
        return await self.here.native("POST", "/v1/credentials/onespan", {"owner": "a client", "tenant": tenant})

    async def issue(self) -> str:
        made = await self.ask(self.calls()[2], self.good)
        assert made.status == 200, made.body
        return str(made.json()["token"])

    async def shown(self) -> list[str]:
        """The texts of the tokens that the transaction shows."""
        reply = await self.ask(Call("GET", f"/api/transaction/{self.id}"), self.good)
        return [each["token"] for each in reply.json()["tokens"]]

    def calls(self) -> list[Call]:
        one = f"/api/transaction/{self.id}"
        return [
            Call("PUT", "/api/transaction/", {}),
            Call("GET", one),
            Call("POST", f"{one}/token", {"role": "signer1"}),
            Call("PUT", f"{one}/event", {"trigger": "transaction_cancelled"}),
        ]

    async def wrong(self) -> list[tuple[str, Login, list[No]]]:
        here, text = self.here, str(self.good["Authorization"])
        revoked, expired = await self.credential(self.tenant), await self.credential(self.tenant)
        others = await self.credential(f"{self.tenant}-other")
        await here.native("DELETE", f"/v1/tokens/{revoked['id']}")
        here.expire(expired["id"])
        claims = {"scope": ["tenant_access"], "exp": 4_000_000_000, "jti": new_handle(3), "client_id": self.tenant}
        invalid: No = (401, "Invalid token.")
        bad: dict[str, str | None] = {
            "missing": None, "malformed": "Bearer x", "another scheme": text.replace("Bearer", "Basic"),
            "forged": forged(text), "never issued": f"Bearer {Jwts(KEYS, 'onespan').write(claims)}",
            "revoked": revoked["authorization"], "expired": expired["authorization"],
        }  # fmt: skip
        a_session: No = (403, "The token does not grant transaction creation rights.")
        bad_data: No = (400, "The transaction data is invalid.")
        return [
            *[(name, {"Authorization": value}, [invalid]) for name, value in bad.items()],
            ("a session's", {"Authorization": f"Bearer {await self.issue()}"}, [a_session]),
            ("another tenant's", {"Authorization": others["authorization"]}, [(200, None), *[bad_data] * 3]),
        ]

    async def ask(self, call: Call, login: Login) -> Reply:
        return await self.here.ask(call.method, call.path, call.body, **login)

    def no(self, reply: Reply) -> No:
        if reply.status == 200:
            return 200, None
        body = reply.json()
        assert list(body) == ["status", "error", "message"]
        assert body["status"] == reply.status
        assert reply.headers["Vary"] == "Accept"
        return reply.status, body["message"]


KINDS: dict[str, Callable[[Here, str], Dialect]] = {
    "wepay": WePay, "sarus": Sarus, "taler": Taler, "onespan": OneSpan,
}  # fmt: skip


def basic(username: str, password: str) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()
