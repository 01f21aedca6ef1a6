"""Envoy's ext_authz over gRPC (`envoy.service.auth.v3.Authorization/Check`): the extra `tokenlife[grpc]`.

The verdicts are those of the gateway endpoints.  A route says in `context_extensions` what it asks: `verb` (use, or
peek) and `require-scope` (scopes that the token must cover).
"""

import time
from collections.abc import Mapping
from typing import Any, Self

import grpc.aio
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse
from envoy.type.v3.http_status_pb2 import HttpStatus
from google.rpc.status_pb2 import Status
from multidict import CIMultiDict

from service.api.gateways import VERBS, Verdict, judge
from service.core.errors import BadInput
from service.core.lifecycle import Tokens
from service.core.watch import failed
from service.telling import Telling

SERVICE = "envoy.service.auth.v3.Authorization"
ROUTE = f"/{SERVICE}/Check"  # in lines and numbers, with the status that the client of the gateway gets
OK, UNAUTHENTICATED = 0, 16  # of google.rpc.Code; the status proper is in the HTTP response below
REQUEST_BYTES = 1_048_576  # headers only, unless Envoy is told to send bodies


class Server:
    """Listens on a port of its own; several workers may share it."""

    def __init__(self, tokens: Tokens, cookie_name: str, telling: Telling, grace_s: float, *, shared: bool) -> None:
        self._tokens, self._cookie_name, self._telling, self._grace_s = tokens, cookie_name, telling, grace_s
        options = [("grpc.so_reuseport", int(shared)), ("grpc.max_receive_message_length", REQUEST_BYTES)]
        self._server = grpc.aio.server(options=options)
        check = grpc.unary_unary_rpc_method_handler(
            self.check, CheckRequest.FromString, CheckResponse.SerializeToString
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Check": check}),))

    async def start(self, host: str, port: int) -> Self:
        """Raises RuntimeError when the port is taken."""
        self._server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        await self._server.start()
        return self

    async def cleanup(self) -> None:
        """Ends, once what is under way has."""
        await self._server.stop(self._grace_s)

    async def check(self, request: Any, context: Any) -> Any:
        """gRPC runs each call in a task of its own, so what is noted is of this call alone."""
        began, status = time.perf_counter(), 500
        headers = CIMultiDict(request.attributes.request.http.headers)
        _, note = self._telling.noted(headers)
        try:
            verdict = await self._verdict(request.attributes.context_extensions, headers)
            status = verdict.status
            return said(verdict)
        except BadInput as wrong:
            failed(wrong)
            status = 400
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(wrong))
        except Exception as fault:  # gRPC tells Envoy that there is none, and Envoy lets nobody through
            failed(fault)
            raise
        finally:
            self._telling.over(note, "POST", ROUTE, status, began)

    async def _verdict(self, asked: Mapping[str, str], headers: "CIMultiDict[str]") -> Verdict:
        verb = asked.get("verb", "use")
        if verb not in VERBS:
            raise BadInput("verb", f"in context_extensions must be one of {', '.join(VERBS)}")
        headers.add("X-Require-Scope", asked.get("require-scope", ""))
        return await judge(self._tokens, verb, headers, self._cookie_name)


def said(verdict: Verdict) -> Any:
    if verdict.status != 200:
        denied = DeniedHttpResponse(
            status=HttpStatus(code=verdict.status), headers=_options(verdict.headers), body=verdict.body.decode()
        )
        return CheckResponse(status=Status(code=UNAUTHENTICATED), denied_response=denied)
    # Envoy leaves out a header that is to be set to nothing, and with it would let a client's own one stand.
    empty = [name for name, value in verdict.headers.items() if not value]
    return CheckResponse(
        status=Status(code=OK), ok_response=OkHttpResponse(headers=_options(verdict.headers), headers_to_remove=empty)
    )


def _options(headers: Mapping[str, str]) -> list[Any]:
    return [
        HeaderValueOption(
            header=HeaderValue(key=name, value=value), append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
        )
        for name, value in headers.items()
        if value
    ]
