"""`GET /openapi.json`: OpenAPI 3.1, made from the same types that decode the requests."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from service import __version__
from service.wire import FORM, JSON, Route, answer

REF = "#/components/schemas/{name}"
ALWAYS = (503,)
WITH_CALLER = (401, 403)
WITH_INPUT = (400, 413, 415)
MEANINGS = {
    200: "As asked.", 201: "Made.", 204: "Done.", 400: "A value that cannot be taken; `field` names it.",
    401: "The caller's token, or the one presented, does not do.", 403: "A grant or a scope is lacking.",
    404: "There is no such thing.", 408: "The body did not arrive in time.", 409: "Contradicts an earlier request.",
    410: "Expired, or trimmed away.", 412: "Changed since it was read.", 413: "The body is too large.",
    415: "Not application/json.", 422: "The idempotency key came with another body.", 503: "The store cannot answer.",
}  # fmt: skip


class ProblemView(msgspec.Struct):
    """RFC 9457; evidence stands beside these members."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | msgspec.UnsetType = msgspec.UNSET


def routes(described: Sequence[Route]) -> list[Route]:
    """The description of the routes given."""
    document = describe(described)

    async def openapi(_request: web.Request) -> web.Response:
        return answer(document, headers={"Cache-Control": "public, max-age=300"})

    return [Route(method="GET", path="/openapi.json", handler=openapi, hidden=True)]


def describe(routes_: Sequence[Route]) -> dict[str, Any]:
    """The document; hidden routes are left out."""
    described = [route for route in routes_ if not route.hidden]
    types = [kind for route in described for kind in _types(route)]
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    by_type = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "tokenlife", "version": __version__, "summary": "Owns the life of session tokens.",
                 "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "caller": {"type": "http", "scheme": "bearer", "description": "A token of ours."},
                "client": {"type": "http", "scheme": "basic", "description": "Any client_id; the token as password."},
            },
        },
        "security": [{"caller": []}],
    }  # fmt: skip


def _types(route: Route) -> list[Any]:
    return [kind for kind in (route.takes, route.gives, route.fault or ProblemView) if kind is not None]


def _operation(route: Route, by_type: dict[int, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "summary": route.summary,
        "parameters": [*_path_parameters(route.path), *_query_parameters(route.asks)],
        "responses": _responses(route, by_type),
    }
    if route.grant is None and 401 not in route.refusals:
        operation["security"] = []  # for everybody
    if route.media == FORM:
        operation["security"] = [{"caller": []}, {"client": []}]
    if route.grant:
        operation["description"] = f"Needs the grant `{route.grant}`."
    if route.takes is not None:
        schema = by_type[id(route.takes)]
        operation["requestBody"] = {"required": True, "content": {route.media: {"schema": schema}}}
    return operation


def _responses(route: Route, by_type: dict[int, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": MEANINGS[route.status]}
    if route.gives is not None:
        good["content"] = {"application/json": {"schema": by_type[id(route.gives)]}}
    form = JSON if route.fault else "application/problem+json"
    bad = {"content": {form: {"schema": by_type[id(route.fault or ProblemView)]}}}
    statuses = {*ALWAYS, *route.refusals, *(WITH_CALLER if route.grant else ()), *_input(route)}
    return {str(route.status): good, **{str(one): {"description": MEANINGS[one], **bad} for one in sorted(statuses)}}


def _input(route: Route) -> tuple[int, ...]:
    if route.takes is not None:
        return (*WITH_INPUT, 408) if route.media == JSON else (400, 408, 413)
    return (400,) if route.asks is not None else ()


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameters(asks: Any) -> list[dict[str, Any]]:
    if asks is None:
        return []
    _, components = msgspec.json.schema_components([asks], ref_template=REF)
    properties = components[asks.__name__]["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]
