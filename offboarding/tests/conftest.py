"""A world that costs seconds to make, made once for a module whose tests only look at it or break it."""

import datetime as dt
from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.test import override_settings

from accounts import clock
from accounts.models import Account
from accounts.tests.worlds import NOON
from billing.tests.worlds import run_worker
from offboarding.tests.leaving import choose, confirm, owners_browser, paying_account


@pytest.fixture(scope="module")
def left_once(
    stripe_account_of_module: object, django_db_setup: None, django_db_blocker, tmp_path_factory
) -> Iterator[Account]:
    """Someone left an hour before noon with a full refund and access to the end; nothing is wrong.

    Each test's own transaction lies inside this one and is rolled back to it.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        # As a test's own transaction, it does not count as one in which no call may be made.
        connection.atomic_blocks[-1]._from_testcase = True
        with override_settings(CLOCK_FILE=str(tmp_path_factory.mktemp("left") / "clock")):
            clock.turn_to(NOON - dt.timedelta(hours=1))
            account = paying_account()
            browser = owners_browser(account)
            choose(browser, account, "stop_now")
            confirm(browser, account)
            run_worker()
        yield account
        transaction.set_rollback(True)


@pytest.fixture
def left(left_once: Account, db: None) -> Account:
    """The one who left, as the database has it now."""
    return Account.objects.get(pk=left_once.pk)
