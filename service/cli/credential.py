"""The verb credential: what a caller of one of the published APIs needs, and a first call that works with it."""

import argparse
import secrets
import shlex
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlencode

from service.cli.one import life
from service.cli.options import Verbs, add_remote
from service.cli.out import say, say_json
from service.client import BadInput, Client, TokenView
from service.core.accounts import login_of
from service.core.callers import ISSUE, READ, REVOKE, Caller
from service.settings import load_client

Parts = dict[str, str]  # of a credential, by name
Words = list[str]  # of a curl command, behind the URL

JSON = ["-H", "Content-Type: application/json"]


def add(verbs: Verbs) -> None:
    parser = add_remote(
        verbs, "credential", credential, "make what a caller of a published API needs, and show a call that works",
        "For wepay, sarus and onespan a caller's token, for taler an account. Nothing of it is shown again.",
        "tokenlife credential sarus --tenant shop\n"
        "KEY=$(tokenlife credential sarus --tenant shop --json | jq -r .api_key)",
    )  # fmt: skip
    parser.add_argument("dialect", choices=[*MAKERS], help="the API")
    parser.add_argument("--tenant", help="another tenant than one's own (admins only)")
    parser.add_argument("--owner", help="whom it stands for; for taler the username (default: the API and some digits)")
    parser.add_argument("--prefix", metavar="/PATH", help="what the service has the API under")
    parser.add_argument("--life", type=life, metavar="90d", help="full life (default: forever; for onespan a year)")


async def credential(args: argparse.Namespace, client: Client) -> None:
    args.owner = args.owner or f"{args.dialect}-{secrets.token_hex(4)}"
    parts, path, words = await MAKERS[args.dialect](args, client)
    if args.json:
        say_json(parts)
        return
    width = max(map(len, parts))
    for name, value in parts.items():
        say(f"{name:<{width}}  {value}")
    base = [args.url or load_client().url, args.prefix or ""]
    url = "/".join(part.strip("/") for part in base if part) + path
    say(shlex.join(["curl", "-s", url, *words]))


async def wepay(args: argparse.Namespace, client: Client) -> tuple[Parts, str, Words]:
    view = await token(args, client, ISSUE, READ, REVOKE)
    parts = {"app_id": view.tenant, "app_token": view.token or ""}
    headers = ["-H", f"App-Id: {view.tenant}", "-H", f"App-Token: {view.token}", "-H", "Api-Version: 3.0", *JSON]
    body = '{"type": "mobile_session", "mobile_session": {"account_id": "ann"}}'
    return parts, "/session_tokens", [*headers, "-d", body]


async def sarus(args: argparse.Namespace, client: Client) -> tuple[Parts, str, Words]:
    parts = {"api_key": (await token(args, client, ISSUE)).token or ""}
    return parts, "/GetSessionToken?" + urlencode({"APIKey": parts["api_key"]}), []


async def taler(args: argparse.Namespace, client: Client) -> tuple[Parts, str, Words]:
    if args.life is not None:
        raise BadInput("--life", "is not for taler: an account has none")
    own = await client.self_peek()
    tenant = Caller(own.id, own.tenant, own.owner, tuple(own.scopes)).acts_for(args.tenant)
    parts = {"username": login_of(tenant, args.owner), "password": secrets.token_urlsafe(24)}
    await client.set_account(args.owner, parts["password"], tenant=tenant)
    words = ["-u", ":".join(parts.values()), *JSON, "-d", '{"scope": "readwrite"}']
    return parts, f"/accounts/{quote(parts['username'], safe='')}/token", words


async def onespan(args: argparse.Namespace, client: Client) -> tuple[Parts, str, Words]:
    parts = {"authorization": await client.onespan_credential(args.owner, tenant=args.tenant, life_ms=args.life)}
    headers = ["-H", f"Authorization: {parts['authorization']}", *JSON]
    return parts, "/api/transaction/", ["-X", "PUT", *headers, "-d", '{"tokens": [{"role": "signer1"}]}']


async def token(args: argparse.Namespace, client: Client, *grants: str) -> TokenView:
    """A caller's token that may do what the API's calls do."""
    return await client.issue(
        args.owner, tenant=args.tenant, type="service", life_ms=args.life, scopes=grants,
        description=f"credential of {args.dialect}",
    )  # fmt: skip


MAKERS: dict[str, Callable[[argparse.Namespace, Client], Awaitable[tuple[Parts, str, Words]]]] = {
    "wepay": wepay,
    "sarus": sarus,
    "taler": taler,
    "onespan": onespan,
}
