"""What one request (or one tick of a clock) sees of one account: objects, time and the events it causes."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import stripe

from sandbox import webhooks
from sandbox.errors import no_such
from sandbox.store import Doc, Store, new_id

API_VERSION: str = stripe.api_version


def public(doc: Doc) -> Doc:
    """A deep copy without the private part (`_`) of the document and of its nested objects."""
    return {name: _public_value(value) for name, value in doc.items() if name != "_"}


def _public_value(value: Any) -> Any:
    if isinstance(value, dict):
        return public(value)
    if isinstance(value, list):
        return [_public_value(item) for item in value]
    return copy.copy(value)


def difference(old: Doc, new: Doc) -> Doc:
    """`previous_attributes`: the old values of what changed, hashes only in their changed keys."""
    changed: Doc = {}
    for name in old.keys() | new.keys():
        before, after = old.get(name), new.get(name)
        if before == after and (name in old) == (name in new):
            continue
        if isinstance(before, dict) and isinstance(after, dict) and name != "items":
            changed[name] = difference(before, after)
        else:
            changed[name] = before
    return {name: changed[name] for name in sorted(changed)}


class World:
    """Access to one account inside one transaction. Every object exists once per world (identity map)."""

    def __init__(
        self, store: Store, account: str, request_id: str | None = None, key: str | None = None
    ) -> None:
        self.store, self.account = store, account
        self.request_id, self.key = request_id, key
        self._objects: dict[str, Doc] = {}
        self._saved: dict[str, str] = {}
        self._fixed_time: int | None = None
        self.aliases: dict[str, str] = {}
        self.origin = self.path = ""
        self.after_commit: list[Callable[[], None]] = []

    # Time

    def now(self, clock: str | None = None) -> int:
        """Unix seconds: the frozen time of a test clock, else the wall clock."""
        if self._fixed_time is not None:
            return self._fixed_time
        if clock is not None:
            frozen: int = self.need("test_helpers.test_clock", clock)["frozen_time"]
            return frozen
        return int(time.time())

    def now_for(self, doc: Doc | None) -> int:
        """The time that an object lives in: its test clock's, its customer's, or the wall's."""
        return self.now(self.clock_of(doc))

    def clock_of(self, doc: Doc | None) -> str | None:
        """The test clock of an object, directly or through its customer."""
        if doc is None:
            return None
        clock = doc.get("_", {}).get("clock") or doc.get("test_clock")
        if clock is None and isinstance(doc.get("customer"), str):
            clock = (self.get(doc["customer"]) or {}).get("test_clock")
        return clock

    @contextmanager
    def at(self, moment: int) -> Iterator[None]:
        """Everything inside happens at this moment (used by clocks and the ticker)."""
        before, self._fixed_time = self._fixed_time, moment
        try:
            yield
        finally:
            self._fixed_time = before

    # Objects

    def get(self, id: str | None) -> Doc | None:
        """The object with this id, or None."""
        if not id:
            return None
        if id not in self._objects:
            text = self.store.load(self.account, id)
            if text is None:
                return None
            self._objects[id] = json.loads(text)
            self._saved[id] = text
        return self._objects[id]

    def need(self, kind: str, id: str, param: str | None = None) -> Doc:
        """The object, or Stripe's `resource_missing`; a deleted one is missing where a parameter names it."""
        doc = self.get(id)
        if doc is None or doc["object"] != kind or (doc.get("deleted") and param not in (None, "id")):
            raise no_such(kind, id, param)
        return doc

    def find(self, kind: str, **equal: Any) -> list[Doc]:
        """All objects of a kind in the order of creation, filtered by indexed columns."""
        found = (self.get(id) for id in self.store.ids(self.account, kind, **equal))
        return [doc for doc in found if doc is not None]

    def add(self, doc: Doc, event: str | None = None) -> Doc:
        """Create an object and tell about it."""
        self._objects[doc["id"]] = doc
        self._saved[doc["id"]] = json.dumps(doc)
        self.store.insert(self.account, doc)
        if event:
            self.emit(event, doc)
        return doc

    def save(self, doc: Doc, event: str | None = None) -> Doc:
        """Write an object back; an event carries what changed, and is left out when nothing visible did."""
        previous = self.saved(doc)
        self.store.update(self.account, doc)
        self._saved[doc["id"]] = json.dumps(doc)
        if event and previous:
            self.emit(event, doc, previous)
        return doc

    def remove(self, doc: Doc, event: str | None = None) -> Doc:
        """Delete an object for good; the answer is Stripe's `{"id", "object", "deleted": true}`."""
        self.store.delete(self.account, doc["id"])
        self._objects.pop(doc["id"], None)
        if event:
            self.emit(event, doc)
        return {"id": doc["id"], "object": doc["object"], "deleted": True}

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo the effects of the block, in memory as well, when it raises."""
        objects, saved = copy.deepcopy(self._objects), dict(self._saved)
        try:
            with self.store.transaction():
                yield
        except BaseException:
            self._objects, self._saved = objects, saved
            raise

    def saved(self, doc: Doc) -> Doc:
        """What an unsaved change would report as `previous_attributes`."""
        return difference(public(json.loads(self._saved[doc["id"]])), public(doc))

    def setting(self, name: str, default: Any) -> Any:
        """A setting of this account's control API."""
        return self.store.setting(self.account, name, default)

    # Events

    def emit(self, type: str, doc: Doc, previous: Doc | None = None) -> Doc:
        """Record an Event (https://docs.stripe.com/api/events) and owe it to the webhook endpoints."""
        content: Doc = {"object": public(doc)}
        if previous is not None and type.endswith(
            (".updated", ".resumed", ".paused", ".refunded", ".detached")
        ):
            content["previous_attributes"] = previous
        endpoints = [e for e in self.find("webhook_endpoint") if webhooks.wants(e, type)]
        event: Doc = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now_for(doc),
            "data": content,
            "livemode": False,
            "pending_webhooks": len(endpoints),
            "request": {"id": self.request_id, "idempotency_key": self.key},
            "type": type,
        }
        self.store.insert(self.account, event)
        webhooks.enqueue(self.store, self.account, event["id"], endpoints)
        return event
