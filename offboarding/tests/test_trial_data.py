"""After a trial that nobody went on with: its data is dated, kept for whoever is back, gone in the end."""

import datetime as dt

import pytest

from accounts.events import By
from accounts.models import Account, Notice
from accounts.notices import send_due_notices
from accounts.tests.worlds import owner_of
from billing.periods import local_date
from billing.plan_choice import take_plan
from billing.tests.trial_worlds import DAY, MONDAY, live_on, make_free_plan, make_trial
from billing.trials import extend_trial
from offboarding import purges
from offboarding.completions import complete_due_cancellations
from offboarding.declarations import declare_cancellation
from offboarding.models import Closure, Ending

pytestmark = pytest.mark.django_db

#: The thank-you of a trial that begins on this Monday and is ignored.
THANKED = MONDAY + 28 * DAY


def frozen_account() -> Account:
    trial = make_trial()
    live_on(THANKED + DAY)
    return Account.objects.get(pk=trial.account_id)


def test_the_thank_you_dates_the_data_as_the_terms_say():
    account = frozen_account()
    closure = Closure.objects.get(account=account)
    thanked = local_date(THANKED, account.time_zone)

    assert account.state == "frozen"
    assert local_date(closure.data_until, account.time_zone) == thanked + 30 * DAY
    assert local_date(closure.purge_on, account.time_zone) == thanked + 180 * DAY
    assert Notice.objects.filter(kind="purge_soon", status="owed").count() == 3


def back_by_more_time(account: Account, at: dt.datetime) -> None:
    extend_trial(account, 10, via="staff", reason="no_time", by=By("staff"), at=at)


def back_on_the_free_plan(account: Account, at: dt.datetime) -> None:
    take_plan(account, make_free_plan(), by=By.customer(owner_of(account)), at=at)


@pytest.mark.parametrize("back", [back_by_more_time, back_on_the_free_plan])
def test_whoever_is_back_keeps_the_data_by_whatever_way(back):
    account = frozen_account()
    back(account, THANKED + 9 * DAY)
    account.refresh_from_db()

    assert account.state in Account.OPEN_STATES
    assert Closure.objects.get().status == Closure.Status.CANCELLED
    assert not Notice.objects.filter(kind="purge_soon", status="owed").exists()


def test_in_the_end_it_goes_and_says_so_before():
    account = frozen_account()
    closure = Closure.objects.get(account=account)
    for days in (30, 7, 1):
        send_due_notices(at=closure.purge_on - days * DAY + DAY / 2)
    report = purges.purge_due(at=closure.purge_on + DAY / 24)
    account.refresh_from_db()

    assert report.purged == [account.public_id]
    assert account.state == "erased"


def test_leaving_in_grace_keeps_everything_on_to_its_end_and_stops_the_messages():
    trial = make_trial()
    now = MONDAY + 19 * DAY
    live_on(now)
    account = Account.objects.get(pk=trial.account_id)
    until = account.access_ends_at
    owner = owner_of(account)
    left = declare_cancellation(account, Ending.STOP_RENEWING, by=By.customer(owner), at=now, user=owner)
    live_on(MONDAY + 60 * DAY, since=now)
    complete_due_cancellations(at=until)
    account.refresh_from_db()

    assert left.effective_at == until == account.access_ends_at
    assert not Notice.objects.filter(kind__startswith="trial_", status="sent", sent_at__gt=now).exists()
    assert account.state == "closed"
