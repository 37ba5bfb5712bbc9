"""What is left when all is at rest, without ids and times, so that two runs can be compared."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from accounts import clock
from accounts.audit import run_audit
from accounts.models import Account, Event, Notice
from billing.models import Customer, Incoming, Instruction, Invoice, Payment, Refund, Subscription
from billing.tests.worlds import control
from config.tests.crash.journeys import what_is_left
from offboarding.models import Cancellation, Quote


def outcome(mails: Path) -> dict[str, Any]:
    """Rows, history, mails and the provider's side; equal for two runs that ended alike."""
    return {
        "here": _here(),
        "provider": _provider(),
        "history": _counted(Event.objects.values_list("kind", flat=True)),
        "notices": _counted(Notice.objects.values_list("kind", "status")),
        "mails": _counted(mails_of(mails)),
        "left": what_is_left(),
        "violations": [
            f"{f.invariant.code}: {row}" for f in run_audit(at=clock.now()) if f.count for row in f.rows
        ],
    }


def mails_of(mails: Path) -> list[str]:
    """The kind of each mail that was handed over, in order."""
    lines = mails.read_text().splitlines() if mails.exists() else []
    return [json.loads(line)["kind"] for line in lines]


def _counted(values: Any) -> dict[str, int]:
    names = [value if isinstance(value, str) else ":".join(map(str, value)) for value in values]
    return dict(sorted(Counter(names).items()))


def _here() -> dict[str, Any]:
    """Our own rows, as plain values that say what they mean and no identity."""
    return {
        "accounts": _rows(Account, "state"),
        "subscriptions": _rows(Subscription, "status", "plan__code", "cancel_at", "period_end"),
        "invoices": _rows(Invoice, "status", "total", "amount_paid", "amount_remaining", "currency"),
        "payments": _rows(Payment, "amount", "refund_reserved", "refunded_elsewhere", "disputed"),
        "refunds": _rows(Refund, "amount", "tax", "state", "basis", "currency"),
        "cancellations": _rows(Cancellation, "status", "ending"),
        "quoted": [q.amount for q in Quote.objects.filter(pk__in=Cancellation.objects.values("quote"))],
        "customers": _rows(Customer, "credit", "card_last4", "lock_token"),
        "instructions": _rows(Instruction, "kind", "status"),
        "events": _counted(Incoming.objects.values_list("type", "status")),
    }


def _rows(model: Any, *names: str) -> list[str]:
    found = []
    for row in model.objects.order_by().values_list(*names):
        found.append(" ".join(str(v.date()) if hasattr(v, "date") else str(v) for v in row))
    return sorted(found)


def _provider() -> dict[str, Any]:
    """The same at the provider."""
    answers = {name: control("GET", f"/v1/{name}?limit=100")["data"] for name in ("refunds", "invoices")}
    lists = {
        "refunds": [(r["amount"], r["status"]) for r in answers["refunds"]],
        "invoices": [
            (i["status"], i["total"], i["amount_remaining"], i["auto_advance"]) for i in answers["invoices"]
        ],
        "credit_notes": [
            (n["amount"], n["status"]) for n in control("GET", "/v1/credit_notes?limit=100")["data"]
        ],
        "subscriptions": [
            (s["status"], s["cancel_at_period_end"], s["metadata"].get("x", ""))
            for s in control("GET", "/v1/subscriptions?status=all&limit=100")["data"]
        ],
    }
    customers = _customers()
    lists["customers"] = [(c.get("balance"), c.get("deleted", False)) for c in customers]
    return {name: sorted(str(row) for row in rows) for name, rows in lists.items()}


def _customers() -> list[Any]:
    """Those on test clocks are listed only by their clock."""
    clocks = control("GET", "/v1/test_helpers/test_clocks?limit=100")["data"]
    found = []
    for one in clocks:
        found += control("GET", f"/v1/customers?test_clock={one['id']}&limit=100")["data"]
    return found
