"""The provider deletes its customer too, and its last events bring nothing back."""

import pytest
from django.apps import apps

from accounts.models import Account
from accounts.tests.worlds import NOON, make_account, owner_of
from billing.models import Customer, Instruction
from billing.stripe_api import calling
from billing.tests.worlds import make_subscription, run_worker
from offboarding import purges
from offboarding.models import Erasure
from offboarding.tests.test_erasure import make_closing

pytestmark = pytest.mark.django_db


def test_a_customer_is_deleted_there_and_nothing_comes_back_to_the_mirror(
    stripe_account, clock, settings, tmp_path
):
    settings.PRIVATE_FILES = tmp_path
    clock.turn_to(NOON)
    account = make_account(name="Canary Ltd")
    address = owner_of(account).email
    make_subscription(account)
    run_worker(follow_mirror=True)
    mirrored = apps.get_model("djstripe", "Customer").objects.count()
    Account.objects.filter(pk=account.pk).update(state="closed", closed_at=NOON)
    account.refresh_from_db()
    make_closing(account, purge_on=NOON)
    clock.forward(hours=1)
    for _ in range(3):
        purges.purge_due(at=clock.now())
        run_worker(follow_mirror=True)
        clock.forward(minutes=5)
    run_worker(follow_mirror=True)
    customer = Customer.objects.get()
    with calling() as stripe:
        there = stripe.v1.customers.retrieve(customer.provider_id)

    assert mirrored == 1
    assert Erasure.objects.get().finished_at is not None
    assert there.deleted
    assert customer.deleted_at is not None
    for name in ("Customer", "Invoice", "Charge", "Subscription", "PaymentMethod", "LineItem"):
        bodies = str(list(apps.get_model("djstripe", name).objects.values_list("stripe_data", flat=True)))
        assert address not in bodies, name
        assert "Canary Ltd" not in bodies, name
    assert not Instruction.objects.open().exists()
