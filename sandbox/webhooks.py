"""Webhook endpoints and deliveries: signed as Stripe signs, pulled by tests or pushed by a thread.

https://docs.stripe.com/webhooks and https://docs.stripe.com/webhooks/signature.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import random
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sandbox.errors import invalid
from sandbox.store import Doc, Store, new_id

if TYPE_CHECKING:
    from sandbox.world import World

PULL_PREFIX = "https://pull.invalid/"
RETRY_SECONDS = (1, 2, 4, 8, 15, 30, 60)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
NO_PLAN: Doc = {"seed": 0, "duplicate": 0.0, "delay": 0.0, "shuffle": 0.0, "drop": 0.0}


def wants(endpoint: Doc, type: str) -> bool:
    """Whether an endpoint listens to a type of event."""
    return bool(endpoint["status"] == "enabled" and {"*", type} & set(endpoint["enabled_events"]))


def is_pulled(store: Store, account: str, endpoint: Doc) -> bool:
    """Whether deliveries wait to be fetched from the control API instead of being posted."""
    is_manual: bool = store.setting(account, "webhook_mode", "push") == "manual"
    return is_manual or str(endpoint["url"]).startswith(PULL_PREFIX)


def enqueue(store: Store, account: str, event: str, endpoints: list[Doc]) -> None:
    """Owe an event to endpoints, as the account's seeded plan distorts it."""
    plan = store.setting(account, "webhook_plan", NO_PLAN)
    for endpoint in endpoints:
        chance = _dice(store, account, plan)
        if chance() < plan["drop"]:
            _insert(store, account, event, endpoint, "dropped", 0.0, 0)
            continue
        copies = 2 if chance() < plan["duplicate"] else 1
        for _ in range(copies):
            held = int(chance() < plan["delay"])
            late = (0.2 + chance()) * held + (
                chance() if plan["shuffle"] and chance() < plan["shuffle"] else 0.0
            )
            _insert(store, account, event, endpoint, "pending", late, held)


def _dice(store: Store, account: str, plan: Doc) -> Any:
    """A generator that depends on the plan's seed and the number of deliveries so far, on nothing else."""
    if not any(plan[name] for name in ("duplicate", "delay", "shuffle", "drop")):
        return lambda: 1.0
    count = store.rows("SELECT count(*) FROM deliveries WHERE account = ?", account)[0][0]
    return random.Random(f"{plan['seed']}/{count}").random  # noqa: S311 (a plan to repeat)


def _insert(
    store: Store, account: str, event: str, endpoint: Doc, state: str, late: float, held: int
) -> None:
    store.execute(
        "INSERT INTO deliveries (account, event, endpoint, state, next_at, held) VALUES (?, ?, ?, ?, ?, ?)",
        account, event, endpoint["id"], state, time.time() + late, held,
    )  # fmt: skip


def signature(secret: str, body: str, at: int) -> str:
    """The `Stripe-Signature` header: HMAC-SHA256 of `timestamp.body`."""
    digest = hmac.new(secret.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def envelope(event: Doc, endpoint: Doc) -> Doc:
    """The request that delivers an event: url, headers with a fresh signature, body."""
    body = json.dumps(event, indent=2)
    return {
        "endpoint": endpoint["id"],
        "url": endpoint["url"],
        "headers": {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(endpoint["_"]["secret"], body, int(time.time())),
        },
        "body": body,
        "event": {"id": event["id"], "type": event["type"]},
    }


def pull(world: World, limit: int | None = None) -> list[Doc]:
    """Hand out what is pending for pulled endpoints; what the plan delays comes one pull later."""
    store = world.store
    rows = store.rows(
        "SELECT seq, event, endpoint, held FROM deliveries WHERE account = ? AND state = 'pending' "
        "ORDER BY seq",
        world.account,
    )
    ready = []
    for seq, event, endpoint_id, held in rows:
        endpoint = world.get(endpoint_id)
        if endpoint is None or not is_pulled(store, world.account, endpoint):
            continue
        if held:
            store.execute("UPDATE deliveries SET held = held - 1 WHERE seq = ?", seq)
            continue
        ready.append((seq, event, endpoint))
    ready = _shuffled(world, ready)[:limit]
    for seq, _, _ in ready:
        store.execute("UPDATE deliveries SET state = 'handed', attempts = attempts + 1 WHERE seq = ?", seq)
    return [envelope(_event(world, event), endpoint) for _, event, endpoint in ready]


def _event(world: World, id: str) -> Doc:
    from sandbox.world import public

    return public(world.need("event", id))


def _shuffled(world: World, ready: list[Any]) -> list[Any]:
    plan = world.setting("webhook_plan", NO_PLAN)
    if not plan["shuffle"] or not ready:
        return ready
    dice = random.Random(f"{plan['seed']}/{ready[0][0]}")  # noqa: S311 (a plan to repeat)
    moved = [
        (n + (dice.random() * len(ready) if dice.random() < plan["shuffle"] else 0), item)
        for n, item in enumerate(ready)
    ]
    return [item for _, item in sorted(moved, key=lambda pair: pair[0])]


class Pusher(threading.Thread):
    """Posts pending deliveries, in order, to endpoints on loopback; others are failed, never called."""

    def __init__(self, store: Store) -> None:
        super().__init__(daemon=True, name="webhooks")
        self._store = store
        self.stopping = threading.Event()

    def run(self) -> None:
        """Look every 50 ms for something to deliver."""
        while not self.stopping.wait(0.05):
            for row in self._due():
                if self.stopping.is_set():
                    return
                self._deliver(*row)

    def _due(self) -> list[Any]:
        return self._store.rows(
            "SELECT seq, account, event, endpoint, attempts FROM deliveries "
            "WHERE state = 'pending' AND next_at <= ? ORDER BY next_at, seq LIMIT 100",
            time.time(),
        )

    def _deliver(self, seq: int, account: str, event_id: str, endpoint_id: str, attempts: int) -> None:
        from sandbox.world import World

        world = World(self._store, account)
        with self._store.lock:
            endpoint = world.get(endpoint_id)
            event = world.get(event_id)
            if endpoint is None or event is None or endpoint["status"] != "enabled":
                self._finish(seq, "cancelled", "no endpoint")
                return
            if is_pulled(self._store, account, endpoint):
                self._postpone(seq)
                return
            request = envelope(_event(world, event_id), endpoint)
        answer = post(request)
        if answer.isdigit() and answer.startswith("2"):
            self._finish(seq, "delivered", answer)
        elif answer.startswith("refused") or attempts + 1 >= len(RETRY_SECONDS):
            self._finish(seq, "failed", answer)
        else:
            self._store.execute(
                "UPDATE deliveries SET attempts = attempts + 1, answer = ?, next_at = ? WHERE seq = ?",
                answer, time.time() + RETRY_SECONDS[attempts], seq,
            )  # fmt: skip

    def _finish(self, seq: int, state: str, answer: str) -> None:
        sql = "UPDATE deliveries SET state = ?, attempts = attempts + 1, answer = ? WHERE seq = ?"
        self._store.execute(sql, state, answer, seq)

    def _postpone(self, seq: int) -> None:
        """Leave a pulled delivery pending, out of the pusher's sight for a minute."""
        self._store.execute("UPDATE deliveries SET next_at = ? WHERE seq = ?", time.time() + 60, seq)


def post(request: Doc) -> str:
    """Send one delivery; the status code, or what went wrong in words."""
    address = urlsplit(request["url"])
    if address.hostname not in LOOPBACK or address.scheme != "http":
        return "refused: only http on loopback is called"
    connection = http.client.HTTPConnection(address.hostname, address.port or 80, timeout=10)
    path = (address.path or "/") + (f"?{address.query}" if address.query else "")
    try:
        connection.request("POST", path, request["body"].encode(), request["headers"])
        return str(connection.getresponse().status)
    except OSError as problem:
        return f"{type(problem).__name__}"
    except http.client.HTTPException as problem:
        return f"{type(problem).__name__}"
    finally:
        connection.close()


# Endpoints: https://docs.stripe.com/api/webhook_endpoints


def create_endpoint(world: World, params: Doc) -> Doc:
    """Register an address; this answer alone carries the signing secret."""
    if not params["url"].startswith(("http://", "https://")):
        raise invalid(
            "Invalid URL: An explicit scheme (such as https) must be provided.", "url", "url_invalid"
        )
    secret = new_id("whsec", 32)
    doc: Doc = {
        "id": new_id("we"),
        "object": "webhook_endpoint",
        "api_version": params.get("api_version"),
        "application": None,
        "created": world.now(),
        "description": params.get("description") or None,
        "enabled_events": params["enabled_events"],
        "livemode": False,
        "metadata": params.get("metadata") or {},
        "status": "enabled",
        "url": params["url"],
        "_": {"secret": secret},
    }
    world.add(doc)
    return doc | {"secret": secret}


def update_endpoint(world: World, id: str, params: Doc) -> Doc:
    """Change address, events, description; `disabled` switches it off."""
    doc = world.need("webhook_endpoint", id)
    for name in ("url", "enabled_events", "description"):
        if name in params:
            doc[name] = params[name] or None
    if "disabled" in params:
        doc["status"] = "disabled" if params["disabled"] else "enabled"
    merge_metadata(doc, params)
    return world.save(doc)


def delete_endpoint(world: World, id: str, params: Doc) -> Doc:
    """Forget an address."""
    return world.remove(world.need("webhook_endpoint", id))


def merge_metadata(doc: Doc, params: Doc) -> None:
    """Merge by key; an empty value removes a key, an empty string all of them."""
    if "metadata" not in params:
        return
    if params["metadata"] == "":
        doc["metadata"] = {}
        return
    merged = {**(doc.get("metadata") or {}), **params["metadata"]}
    doc["metadata"] = {name: value for name, value in merged.items() if value != ""}
