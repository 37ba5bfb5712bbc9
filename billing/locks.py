"""One writer at a time for a customer's facts, across a network call and without a transaction held open."""

import datetime as dt
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from django.db.models import Q

from billing.models import Customer

LEASE = dt.timedelta(seconds=90)


class Busy(Exception):
    """Someone else is writing this customer's facts; come back in a moment."""


@contextmanager
def writing_customer(customer: Customer) -> Iterator[None]:
    """Hold the customer while its facts are fetched and written, so that a stale answer never lands last.

    The lease is by the system's clock: it is about processes, not about the product's time.
    """
    token, now = secrets.token_hex(16), dt.datetime.now(dt.UTC)
    free = Customer.objects.filter(Q(lock_until=None) | Q(lock_until__lte=now), pk=customer.pk)
    if not free.update(lock_until=now + LEASE, lock_token=token):
        raise Busy(customer.provider_id)
    try:
        yield
    finally:
        Customer.objects.filter(pk=customer.pk, lock_token=token).update(lock_until=None, lock_token="")
