"""One writer at a time for a customer's facts, across a network call and without a transaction held open."""

import datetime as dt
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db.models import Q

from billing.models import Customer

LEASE = dt.timedelta(seconds=90)
PATIENCE_SECONDS = 5


class Busy(Exception):
    """Someone else is writing this customer's facts; come back in a moment."""


@contextmanager
def writing_customer(customer: Customer) -> Iterator[None]:
    """Hold the customer while its facts are fetched and written, so that a stale answer never lands last.

    Waits a few seconds for whoever holds it; raises `Busy` after that. The lease is by the system's
    clock: it is about processes, not about the product's time.
    """
    token, give_up = secrets.token_hex(16), time.monotonic() + PATIENCE_SECONDS
    while not _take(customer, token):
        if time.monotonic() > give_up:
            raise Busy(customer.provider_id)
        time.sleep(0.05)
    try:
        yield
    finally:
        Customer.objects.filter(pk=customer.pk, lock_token=token).update(lock_until=None, lock_token="")


def _take(customer: Customer, token: str) -> bool:
    now = dt.datetime.now(dt.UTC)
    free = Customer.objects.filter(Q(lock_until=None) | Q(lock_until__lte=now), pk=customer.pk)
    return bool(free.update(lock_until=now + LEASE, lock_token=token))
