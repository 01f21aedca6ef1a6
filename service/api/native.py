"""Our own voice, whole: the list of its routes on one screen."""

from service.api import browser, events, gateways, health, holders, oauth, openapi, problems, tokenreview, tokens
from service.api.health import Exposition, Readiness
from service.core.accounts import Accounts
from service.core.events import Feed
from service.core.lifecycle import Tokens
from service.core.lists import Lists
from service.core.replays import Replays
from service.wire import Route, Voice


def voice(
    tokens_: Tokens, lists: Lists, replays: Replays, accounts: Accounts, feed: Feed, heartbeat_s: float,
    cookie_name: str, public_url: str | None,
) -> Voice:  # fmt: skip
    """It speaks on every path that no other voice owns."""
    routes: list[Route] = [
        *tokens.by_text(tokens_, replays),
        *tokens.by_handle(tokens_, lists),
        *holders.of_self(tokens_),
        *holders.of_owners(tokens_, accounts),
        *events.routes(tokens_, feed, heartbeat_s),
        *oauth.routes(tokens_, public_url),
        *gateways.routes(tokens_, cookie_name),
        *tokenreview.routes(tokens_),
    ]
    routes += [*openapi.routes(routes), *browser.routes()]
    return Voice("native", routes, problems.render, lambda _path: True)


def operations(readiness: Readiness, exposition: Exposition) -> Voice:
    """What probes and Prometheus ask; on the same port or on one of its own."""
    return Voice("operations", health.routes(readiness, exposition), problems.render, lambda _path: False)
