"""The control API under /_sandbox/: what tests and the demo steer, by the account's own secret key.

JSON in, JSON out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from sandbox import accounts, disputes, faults, idempotency, payment_intents, refunds, setup_intents, webhooks
from sandbox.errors import StripeError, invalid, unknown_url
from sandbox.store import Doc, Store
from sandbox.world import API_VERSION, World, public

SETTINGS: dict[str, tuple[Any, Any]] = {
    "retry_days": (list, []),
    "retry_end": (str, "past_due"),
    "refund_settle_seconds": ((int, type(None)), refunds.SETTLE_SECONDS),
    "webhook_mode": (str, "push"),
}


def health(world: World, body: Doc) -> Doc:
    """That it runs, for which account and API version."""
    return {"status": "ok", "account": world.account, "api_version": API_VERSION}


def get_faults(world: World, body: Doc) -> Doc:
    """The fault plan with its counters."""
    return {"faults": world.setting("faults", [])}


def set_faults(world: World, body: Doc) -> Doc:
    """Replace the fault plan."""
    world.store.set_setting(world.account, "faults", faults.read_plan(body.get("faults", [])))
    return get_faults(world, body)


def get_webhook_plan(world: World, body: Doc) -> Doc:
    """The webhook plan."""
    return dict(world.setting("webhook_plan", webhooks.NO_PLAN))


def set_webhook_plan(world: World, body: Doc) -> Doc:
    """Probabilities (0 to 1) of duplicate, delay, shuffle, drop, and the seed; what is left out is 0."""
    unknown = set(body) - set(webhooks.NO_PLAN)
    if unknown:
        raise invalid(f"Unknown: {sorted(unknown)}")
    world.store.set_setting(world.account, "webhook_plan", {**webhooks.NO_PLAN, **body})
    return get_webhook_plan(world, body)


def get_settings(world: World, body: Doc) -> Doc:
    """All settings with their values."""
    return {name: world.setting(name, default) for name, (_, default) in SETTINGS.items()}


def set_settings(world: World, body: Doc) -> Doc:
    """Change some settings."""
    for name, value in body.items():
        if name not in SETTINGS or not isinstance(value, SETTINGS[name][0]):
            raise invalid(f"Unknown setting or wrong type: {name}", name)
        allowed = {"retry_end": ("past_due", "unpaid", "cancel"), "webhook_mode": ("push", "manual")}.get(
            name
        )
        if allowed and value not in allowed:
            raise invalid(f"{name} must be one of {', '.join(allowed)}", name)
        world.store.set_setting(world.account, name, value)
    return get_settings(world, body)


def list_requests(world: World, body: Doc) -> Doc:
    """The calls of this account, newest last; `after` is the `seq` of the last one seen."""
    rows = world.store.rows(
        "SELECT seq, at, method, path, params, idempotency_key, status, replayed, request_id, fault "
        "FROM requests "
        "WHERE account = ? AND seq > ? ORDER BY seq",
        world.account,
        int(body.get("after", 0)),
    )
    names = (
        "seq",
        "at",
        "method",
        "path",
        "params",
        "idempotency_key",
        "status",
        "replayed",
        "request_id",
        "fault",
    )
    calls = [dict(zip(names, row, strict=True)) for row in rows]
    for call in calls:
        call["params"], call["replayed"] = json.loads(call["params"]), bool(call["replayed"])
    return {"requests": calls}


def deliveries(world: World, body: Doc) -> Doc:
    """Hand out pending deliveries of pulled endpoints under the webhook plan; `limit` to take fewer."""
    return {"deliveries": webhooks.pull(world, int(body["limit"]) if "limit" in body else None)}


def delivery_log(world: World, body: Doc) -> Doc:
    """Every delivery with its state: pending, handed, delivered, failed, dropped, cancelled."""
    rows = world.store.rows(
        "SELECT seq, event, endpoint, state, attempts, answer FROM deliveries WHERE account = ? ORDER BY seq",
        world.account,
    )
    names = ("seq", "event", "endpoint", "state", "attempts", "answer")
    return {"deliveries": [dict(zip(names, row, strict=True)) for row in rows]}


def refund_fail(world: World, body: Doc, id: str) -> Doc:
    """The bank returns the refund."""
    return public(
        refunds.fail(world, world.need("refund", id), body.get("reason", "expired_or_canceled_card"))
    )


def refund_succeed(world: World, body: Doc, id: str) -> Doc:
    """A pending refund lands."""
    return public(refunds.succeed(world, world.need("refund", id)))


def open_dispute(world: World, body: Doc, id: str) -> Doc:
    """The cardholder disputes a charge."""
    charge = world.need("charge", id)
    if charge["status"] != "succeeded" or charge["disputed"] or charge["refunded"]:
        raise invalid("Only a successful, undisputed charge that is not fully refunded can be disputed.")
    return public(disputes.open_dispute(world, charge, body.get("reason", "fraudulent")))


def win_dispute(world: World, body: Doc, id: str) -> Doc:
    """The bank decides for us."""
    return public(disputes.decide(world, world.need("dispute", id), won=True))


def lose_dispute(world: World, body: Doc, id: str) -> Doc:
    """The bank decides for the cardholder."""
    return public(disputes.decide(world, world.need("dispute", id), won=False))


def authenticate(world: World, body: Doc, id: str) -> Doc:
    """The buyer passes (or with `{"passed": false}` fails) 3-D Secure, without a browser."""
    intent = world.get(id)
    if intent is None or intent["object"] not in ("payment_intent", "setup_intent"):
        raise invalid(f"No such intent: '{id}'", code="resource_missing")
    module = payment_intents if intent["object"] == "payment_intent" else setup_intents
    return public(module.finish_authentication(world, intent, passed=body.get("passed", True)))


def bank_says(world: World, body: Doc, id: str) -> Doc:
    """From now on the bank declines this card with `{"decline": code}`; null: it pays again."""
    method = world.need("payment_method", id)
    method["_"]["bank"] = body.get("decline")
    return public(world.save(method))


def age_keys(world: World, body: Doc) -> Doc:
    """Make the account's idempotency keys `hours` older."""
    return {"aged": idempotency.age(world.store, world.account, float(body.get("hours", 24)))}


def reset(world: World, body: Doc) -> Doc:
    """Forget everything of this account."""
    world.store.forget_account(world.account)
    return {"reset": True}


ACTIONS: list[tuple[str, str, Callable[..., Doc]]] = [
    ("GET", "/_sandbox/health", health),
    ("GET", "/_sandbox/faults", get_faults),
    ("POST", "/_sandbox/faults", set_faults),
    ("GET", "/_sandbox/webhook_plan", get_webhook_plan),
    ("POST", "/_sandbox/webhook_plan", set_webhook_plan),
    ("GET", "/_sandbox/settings", get_settings),
    ("POST", "/_sandbox/settings", set_settings),
    ("GET", "/_sandbox/requests", list_requests),
    ("GET", "/_sandbox/deliveries", deliveries),
    ("GET", "/_sandbox/deliveries/log", delivery_log),
    ("POST", "/_sandbox/refunds/<id>/fail", refund_fail),
    ("POST", "/_sandbox/refunds/<id>/succeed", refund_succeed),
    ("POST", "/_sandbox/charges/<id>/dispute", open_dispute),
    ("POST", "/_sandbox/disputes/<id>/win", win_dispute),
    ("POST", "/_sandbox/disputes/<id>/lose", lose_dispute),
    ("POST", "/_sandbox/intents/<id>/authenticate", authenticate),
    ("POST", "/_sandbox/payment_methods/<id>/bank", bank_says),
    ("POST", "/_sandbox/idempotency/age", age_keys),
    ("POST", "/_sandbox/reset", reset),
]
_URLS = Map([Rule(rule, methods=[method], endpoint=str(n)) for n, (method, rule, _) in enumerate(ACTIONS)])


def respond(store: Store, request: Request) -> Response:
    """Answer one control call; health needs no key."""
    try:
        status, answer = 200, _act(store, request)
    except StripeError as error:
        status, answer = error.http, error.body()
    return Response(json.dumps(answer, indent=2) + "\n", status, content_type="application/json")


def _act(store: Store, request: Request) -> Doc:
    try:
        number, ids = _URLS.bind("localhost").match(request.path, request.method)
    except HTTPException:
        raise unknown_url(request.method, request.path) from None
    action = ACTIONS[int(number)][2]
    if action is health and "Authorization" not in request.headers:
        return {"status": "ok", "api_version": API_VERSION}
    world = World(store, accounts.authenticate(request.headers.get("Authorization")))
    world.origin = request.host_url.rstrip("/")
    with store.transaction():
        return action(world, _body(request), **ids)


def _body(request: Request) -> dict[str, Any]:
    if request.method == "GET" or not request.get_data():
        return dict(request.args)
    try:
        body = json.loads(request.get_data())
    except ValueError:
        raise invalid("The body must be JSON.") from None
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    return body
