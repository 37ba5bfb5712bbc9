"""A world that costs seconds to make, made once for a module whose tests only look at it or break it."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.db import connection, transaction
from django.test import override_settings

from accounts.models import Account
from billing.tests.worlds import run_worker
from config.demo.stripe_sandbox import PULL_URL, SandboxAccount
from conftest import point_settings_at
from offboarding.tests.leaving import choose, confirm, owners_browser, paying_account


@pytest.fixture(scope="module")
def left_once(sandbox_url: str, django_db_setup: None, django_db_blocker) -> Iterator[Account]:
    """Someone left with a full refund and access to the end; nothing is wrong.

    Each test's own transaction lies inside this one and is rolled back to it.
    """
    stripe, pointed = SandboxAccount.open(sandbox_url, webhook_url=PULL_URL), SimpleNamespace()
    with pytest.MonkeyPatch.context() as patch, django_db_blocker.unblock(), transaction.atomic():
        # As a test's own transaction, it does not count as one in which no call may be made.
        connection.atomic_blocks[-1]._from_testcase = True
        point_settings_at(stripe, pointed, patch)
        with override_settings(**vars(pointed)):
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
