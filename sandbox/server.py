"""The HTTP side: routing, authentication, idempotency, faults, the request log."""

from __future__ import annotations

import json
import logging
import secrets
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from sandbox import accounts, browser, control, faults, forms, idempotency, validation
from sandbox.errors import Doc, InvalidParameters, StripeError, unknown_url
from sandbox.routes import ROUTES, Route
from sandbox.store import Store
from sandbox.views import show
from sandbox.world import API_VERSION, World

log = logging.getLogger("sandbox")


class Dropped(ConnectionAbortedError):
    """The connection is closed without an answer."""


@dataclass
class Call:
    """One API call on its way."""

    method: str
    path: str
    account: str | None = None
    raw: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    request_id: str = field(
        default_factory=lambda: f"req_{secrets.token_urlsafe(10).replace('-', 'A').replace('_', 'B')[:14]}"
    )
    status: int = 0
    replayed: bool = False
    original: str | None = None
    fault: str | None = None


class Application:
    """The WSGI application."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._routes = Map(
            [Rule(r.rule, methods=[r.method], endpoint=str(n)) for n, r in enumerate(ROUTES)],
            strict_slashes=False,
        )

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        request.get_data(cache=True, parse_form_data=False)
        response = self._respond(request)
        if isinstance(response, Dropped):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise response
        return response(environ, start_response)

    def _respond(self, request: Request) -> Response | Dropped:
        if request.path.startswith("/v1/") and request.method != "OPTIONS":
            return self._api(request)
        if request.path.startswith("/_sandbox/"):
            return control.respond(self.store, request)
        return browser.respond(self.store, request)

    # The API

    def _api(self, request: Request) -> Response | Dropped:
        call = Call(request.method, request.path)
        response: Response | Dropped
        try:
            response = self._guarded(call, request)
        except Dropped as dropped:
            response = dropped
        except StripeError as error:
            response = self._error(call, error)
        except Exception:
            log.exception("%s %s failed", call.method, call.path)
            response = self._error(call, faults.broken())
        self._log(call)
        return response

    def _error(self, call: Call, error: StripeError) -> Response:
        call.status = error.http
        return self._answer(call, error.http, json.dumps(error.body()))

    def _answer(self, call: Call, status: int, body: str) -> Response:
        headers = {
            "Request-Id": call.request_id,
            "Stripe-Version": API_VERSION,
            "Access-Control-Allow-Origin": "*",
            "Cache-Control": "no-cache, no-store",
        }
        if call.key:
            headers["Idempotency-Key"] = call.key
            headers["Original-Request"] = call.original or call.request_id
        if call.replayed:
            headers["Idempotent-Replayed"] = "true"
        if status >= 409:
            headers["Stripe-Should-Retry"] = "true" if status == 409 else "false"
        return Response(body + "\n", status, headers, content_type="application/json")

    def _guarded(self, call: Call, request: Request) -> Response:
        call.account = accounts.authenticate(request.headers.get("Authorization"))
        call.raw = forms.parse_form([*request.args.items(multi=True), *request.form.items(multi=True)])
        call.key = request.headers.get("Idempotency-Key") if call.method == "POST" else None
        fault = faults.strike(self.store, call.account, call.method, call.path) or {"kind": ""}
        call.fault = fault["kind"] or None
        if fault["kind"] == "drop_before":
            raise Dropped
        refused = faults.refusal(fault["kind"])
        if refused is not None:
            raise refused
        response = self._idempotent(call, request.host_url.rstrip("/"), fault)
        if fault["kind"] == "drop_after":
            raise Dropped
        return response

    def _idempotent(self, call: Call, origin: str, fault: Doc) -> Response:
        if call.key is None:
            status, body = self._execute(call, origin, fault)
            return self._answer(call, status, body)
        assert call.account is not None
        stored = idempotency.begin(self.store, call.account, call.key, call.path, call.raw)
        if stored is not None:
            call.replayed, call.original, call.status = True, stored.request_id, stored.status
            return self._answer(call, stored.status, stored.body)
        try:
            status, body = self._execute(call, origin, fault)
        except BaseException:
            idempotency.abandon(self.store, call.account, call.key)
            raise
        return self._answer(call, status, body)

    def _execute(self, call: Call, origin: str, fault: Doc) -> tuple[int, str]:
        """Validate, then run the handler; from here on an answer is kept under the call's key."""
        route, ids = self._find(call)
        params = validation.check(call.raw, route.params)
        assert call.account is not None
        world = World(self.store, call.account, call.request_id, call.key)
        world.origin, world.path = origin, call.path
        if fault["kind"] == "slow":
            time.sleep(fault["seconds"])
        with self.store.transaction():
            status, body = self._run(world, route, ids, params)
            if fault["kind"] == "500_after":
                status, body = 500, json.dumps(faults.broken().body())
            if call.key:
                answer = idempotency.Answer(status, body, call.request_id)
                idempotency.finish(self.store, call.account, call.key, answer)
        call.status = status
        for action in world.after_commit:
            action()
        return status, body

    def _run(self, world: World, route: Route, ids: dict[str, str], params: Doc) -> tuple[int, str]:
        """The handler's answer; an error undoes the effects unless it says that they stay (a decline)."""
        kept: StripeError | None = None
        try:
            with self.store.transaction():
                try:
                    result = route.handler(world, *ids.values(), params=params)
                except StripeError as error:
                    if not error.keeps_effects:
                        raise
                    kept = error
        except InvalidParameters:
            raise
        except StripeError as error:
            return error.http, json.dumps(error.body())
        if kept is not None:
            return kept.http, json.dumps(kept.body())
        return 200, json.dumps(result if route.is_list else self._shown(world, result, params), indent=2)

    def _shown(self, world: World, result: Doc, params: Doc) -> Doc:
        return show(world, result, params.get("expand"))

    def _find(self, call: Call) -> tuple[Route, dict[str, str]]:
        try:
            number, ids = self._routes.bind("localhost").match(call.path, call.method)
        except (NotFound, MethodNotAllowed, HTTPException):
            log.warning("unknown URL: %s %s", call.method, call.path)
            raise unknown_url(call.method, call.path) from None
        return ROUTES[int(number)], dict(ids)

    def _log(self, call: Call) -> None:
        self.store.execute(
            "INSERT INTO requests (account, at, method, path, params, idempotency_key, status, "
            "replayed, request_id, fault) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            call.account, time.time(), call.method, call.path, json.dumps(call.raw), call.key, call.status,
            int(call.replayed), call.request_id, call.fault,
        )  # fmt: skip


class Handler(WSGIRequestHandler):
    """HTTP/1.1, quiet. One call per connection: after an answer werkzeug drains the socket,
    and would swallow the next call with it.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        """A planned drop, or a client that went away."""
        self.close_connection = True

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """The request log of the control API replaces the lines on stderr."""


def serve(store: Store, host: str, port: int) -> BaseWSGIServer:
    """A threaded server, listening but not yet serving."""
    return make_server(host, port, Application(store), threaded=True, request_handler=Handler)
