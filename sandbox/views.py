"""How objects leave: without private parts, with what `expand[]` asks for, in pages.

https://docs.stripe.com/api/expanding_objects, https://docs.stripe.com/api/pagination
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox import invoices
from sandbox.errors import StripeError, invalid
from sandbox.store import Doc
from sandbox.world import World, public

LINES_SHOWN = 10


def _sublist(url: str, objects: list[Doc]) -> Doc:
    return {
        "object": "list",
        "data": [public(o) for o in objects[:10]],
        "has_more": len(objects) > 10,
        "url": url,
    }


def _payments(world: World, doc: Doc) -> Any:
    found = world.find("invoice_payment", invoice=doc["id"])
    return _sublist(f"/v1/invoice_payments?invoice={doc['id']}", found)


def _refunds(world: World, doc: Doc) -> Any:
    return _sublist(
        f"/v1/charges/{doc['id']}/refunds", list(reversed(world.find("refund", charge=doc["id"])))
    )


def _subscriptions(world: World, doc: Doc) -> Any:
    live = [
        s
        for s in world.find("subscription", customer=doc["id"])
        if s["status"] not in ("canceled", "incomplete_expired")
    ]
    return _sublist(f"/v1/customers/{doc['id']}/subscriptions", list(reversed(live)))


def _confirmation_secret(world: World, doc: Doc) -> Any:
    intent = invoices.intent_of(world, world.need("invoice", doc["id"])) if doc["status"] == "open" else None
    return {"client_secret": intent["client_secret"], "type": "payment_intent"} if intent else None


def _empty_list(url: str) -> Callable[[World, Doc], Any]:
    return lambda world, doc: _sublist(url.format(id=doc["id"]), [])


# Fields that exist only when they are asked for.
INCLUDABLE: dict[tuple[str, str], Callable[[World, Doc], Any]] = {
    ("invoice", "payments"): _payments,
    ("invoice", "confirmation_secret"): _confirmation_secret,
    ("charge", "refunds"): _refunds,
    ("customer", "subscriptions"): _subscriptions,
    ("customer", "sources"): _empty_list("/v1/customers/{id}/sources"),
    ("customer", "tax_ids"): _empty_list("/v1/customers/{id}/tax_ids"),
    ("customer", "tax"): lambda world, doc: {
        "automatic_tax": "unrecognized_location",
        "ip_address": None,
        "location": None,
    },
    ("coupon", "applies_to"): lambda world, doc: None,
    ("price", "currency_options"): lambda world, doc: None,
    ("price", "tiers"): lambda world, doc: None,
}


def show(world: World, doc: Doc, expand: list[str] | None = None) -> Doc:
    """A copy for the client, with the asked-for references expanded."""
    shown = public(doc)
    _cut_lines(shown)
    for path in expand or []:
        parts = path.split(".")
        if len(parts) > 4:
            raise invalid("You cannot expand more than 4 levels of a property", "expand")
        _expand(world, shown, parts, path)
    return shown


def _cut_lines(shown: Doc) -> None:
    if shown.get("object") == "invoice" and "lines" in shown and len(shown["lines"]["data"]) > LINES_SHOWN:
        shown["lines"].update(data=shown["lines"]["data"][:LINES_SHOWN], has_more=True)


def _expand(world: World, node: Any, parts: list[str], path: str) -> None:
    if isinstance(node, list):
        for item in node:
            _expand(world, item, parts, path)
        return
    if not isinstance(node, dict):
        return
    name, rest = parts[0], parts[1:]
    maker = INCLUDABLE.get((node.get("object", ""), name))
    if maker is not None and name not in node:
        node[name] = maker(world, node)
    if name not in node:
        if node.get("object") == "list" or _is_known(node, name):
            return
        raise invalid(
            f"This property cannot be expanded ({path}). You may want to try expanding 'data.{path}' instead."
            if node.get("object") == "list"
            else f"This property cannot be expanded ({path}).",
            "expand",
        )
    node[name] = _resolved(world, node[name])
    if rest:
        _expand(world, node[name], rest, path)


def _is_known(node: Doc, name: str) -> bool:
    """A property that the object may have and has not (a deleted customer's, an absent hash's)."""
    return bool(node.get("deleted")) or name in (
        "failure_balance_transaction",
        "charge",
        "payment_intent",
        "invoice",
    )


def _resolved(world: World, value: Any) -> Any:
    if isinstance(value, str):
        found = world.get(value)
        if found is None:
            return value
        if found.get("deleted"):
            return {"id": found["id"], "object": found["object"], "deleted": True}
        shown = public(found)
        _cut_lines(shown)
        return shown
    if isinstance(value, list):
        return [_resolved(world, item) for item in value]
    return value


def page(world: World, docs: list[Doc], params: Doc, url: str) -> Doc:
    """One page, newest first, of objects given in the order of creation."""
    by_id = {doc["id"]: doc for doc in docs}
    return page_of_ids(world, list(by_id), params, url, load=by_id.get)


def page_of_ids(
    world: World,
    ids: list[str],
    params: Doc,
    url: str,
    load: Callable[[str], Doc | None],
    keep: Callable[[Doc], bool] = lambda doc: True,
) -> Doc:
    """One page, newest first, of ids in the order of creation; only what the page needs is loaded."""
    limit = params.get("limit", 10)
    if not 1 <= limit <= 100:
        word = "less than or equal to 100" if limit > 100 else "greater than or equal to 1"
        raise invalid(f"This value must be {word}.", "limit", "parameter_invalid_integer")
    backwards = bool(params.get("ending_before"))
    if params.get("starting_after") and backwards:
        raise invalid("You may only specify one of these parameters: starting_after, ending_before.")
    chosen: list[Doc] = []
    for id in _from_cursor(ids, params):
        doc = load(id)
        if doc is not None and _in_time(doc, params.get("created")) and keep(doc):
            chosen.append(doc)
        if len(chosen) > limit:
            break
    shown = chosen[:limit][::-1] if backwards else chosen[:limit]
    expand = [path.removeprefix("data.") for path in params.get("expand") or []]
    data = [show(world, doc, expand) for doc in shown]
    return {"object": "list", "data": data, "has_more": len(chosen) > limit, "url": url}


def _from_cursor(ids: list[str], params: Doc) -> list[str]:
    """Ids in the direction of reading, from the cursor on."""
    if params.get("ending_before"):
        return ids[_position(ids, params["ending_before"], "ending_before") + 1 :]
    if params.get("starting_after"):
        return ids[: _position(ids, params["starting_after"], "starting_after")][::-1]
    return ids[::-1]


def _position(ids: list[str], id: str, param: str) -> int:
    if id in ids:
        return ids.index(id)
    raise StripeError(f"No such object: '{id}'", code="resource_missing", param=param)


def _in_time(doc: Doc, wanted: Any) -> bool:
    """`created=N` or `created[gte]=N` and the like."""
    created = doc.get("created") or doc.get("date") or 0
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return bool(created == wanted)
    checks = {"gt": created.__gt__, "gte": created.__ge__, "lt": created.__lt__, "lte": created.__le__}
    return all(checks[name](value) for name, value in wanted.items())
