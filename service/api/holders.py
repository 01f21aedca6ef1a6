"""What a holder may do with its token alone (`/v1/self`), and what is about an owner as a whole."""

from aiohttp import web

from service.api import views
from service.api.asked import caller_text
from service.api.views import View, view
from service.core import callers
from service.core.accounts import Accounts
from service.core.lifecycle import Tokens
from service.wire import HttpError, Route, answer, read_json, read_query


def of_self(tokens: Tokens) -> list[Route]:
    """The token in Authorization is the subject; no grant is needed."""

    async def peek(request: web.Request) -> web.Response:
        return answer(view(await tokens.peek(caller_text(request))))

    async def renew(request: web.Request) -> web.Response:
        return answer(view(await tokens.renew(caller_text(request))))

    async def revoke(request: web.Request) -> web.Response:
        return answer(view(await tokens.revoke(caller_text(request), reason="holder")))

    dead = (400, 401, 410)
    return [
        Route(method="GET", path="/v1/self", handler=peek, gives=View, refusals=dead, summary="Look at one's token."),
        Route(method="DELETE", path="/v1/self", handler=revoke, gives=View, refusals=dead, summary="End one's token."),
        Route(method="POST", path="/v1/self/renew", handler=renew, gives=View, refusals=dead,
              summary="Put one's token back to full life."),
    ]  # fmt: skip


def of_owners(tokens: Tokens, accounts: Accounts) -> list[Route]:
    """Everything of an owner at once, and its account."""

    async def revoke(request: web.Request) -> web.Response:
        caller = await tokens.authorize(caller_text(request), callers.REVOKE)
        asked = await read_json(request, views.RevokeOwner)
        revoked, more = await tokens.revoke_owner(
            caller, caller.acts_for(asked.tenant), request.match_info["owner"],
            type_=asked.type, spared=asked.spared, dry=asked.dry_run,
        )  # fmt: skip
        return answer(views.Revoked(revoked, more))

    async def put(request: web.Request) -> web.Response:
        caller = await tokens.authorize(caller_text(request), callers.ACCOUNTS)
        asked = await read_json(request, views.Password)
        await accounts.put(caller.acts_for(asked.tenant), request.match_info["username"], asked.password)
        return web.Response(status=204)

    async def delete(request: web.Request) -> web.Response:
        caller = await tokens.authorize(caller_text(request), callers.ACCOUNTS)
        tenant = caller.acts_for(read_query(request, views.TenantQuery).tenant)
        if not await accounts.delete(tenant, request.match_info["username"]):
            raise HttpError(404, "unknown_account", "There is no such account.")
        return web.Response(status=204)

    account = "/v1/accounts/{username}"
    return [
        Route(method="POST", path="/v1/owners/{owner}/revoke", handler=revoke, takes=views.RevokeOwner,
              gives=views.Revoked, grant=callers.REVOKE, summary="End what an owner has, up to 500 tokens a call."),
        Route(method="PUT", path=account, handler=put, takes=views.Password, status=204, grant=callers.ACCOUNTS,
              summary="Make an account or give it a new password."),
        Route(method="DELETE", path=account, handler=delete, asks=views.TenantQuery, status=204,
              grant=callers.ACCOUNTS, refusals=(404,), summary="Forget an account."),
    ]  # fmt: skip
