"""What comes next for who is late and who is on trial: the days that the sweeps go by, each with why."""

import pytest

from accounts import desk
from accounts.calendar import what_comes_next
from accounts.models import Account, Member
from accounts.tests.worlds import NOON, make_member, make_terms, make_user
from billing.dunning_cases import open_case
from billing.models import Customer, DunningCase, Invoice, Subscription, TrialStep
from billing.periods import local_date
from billing.tests.test_words import story
from billing.tests.trial_worlds import DAY, MONDAY, make_free_plan, make_trial

pytestmark = pytest.mark.django_db

TRY, BLOCK = "We try to charge €29.00 again", "Access is turned off, unless the invoice is paid before"
RENEWS = "Pro renews: €29.00"
ENDS = {
    "freeze": "We stop trying; access stays off until it is paid",
    "cancel": "The subscription ends, unless the invoice is paid before",
    "free_plan": "The free plan begins, unless the invoice is paid before",
    "keep": "We stop trying, and a person writes",
}


def lines(account, at, member=None):
    """Local day and words of what comes, mails aside; each line says why."""
    member = member or Member.objects.get(account=account, role="owner")
    found = what_comes_next(Account.objects.get(pk=account.pk), member, at=at)
    assert [entry.text for entry in found if not entry.why] == []
    return [(local_date(e.at, "Europe/Madrid").day, str(e.text)) for e in found if not e.is_mail]


def at_the_desk(account, at):
    """The same as support reads it."""
    read = desk.read_account(str(account.pk), at)
    ahead = desk.read_sections(read, at)[0][1]["ahead"]
    return [(local_date(e.at, "Europe/Madrid").day, str(e.text)) for e in ahead if not e.is_mail]


def late_account(decline="insufficient_funds", **terms):
    """It failed at noon of the 11th: tries on the 14th, 17th and 21st, off on the 18th, over on the 22nd."""
    make_terms(**terms)
    account, _ = story()
    Subscription.objects.update(status="past_due", first_paid_at=NOON, trial_end=None)
    return account, open_case(Invoice.objects.get(), decline, at=NOON)


@pytest.mark.parametrize("end", ENDS)
def test_a_late_payer_reads_each_step_on_its_day_until_it_is_taken(end):
    account, case = late_account(dunning_end=end)
    rows = DunningCase.objects.filter(pk=case.pk)

    tries = [(14, TRY), (17, TRY), (18, BLOCK), (21, TRY)]
    assert lines(account, NOON) == [*tries, (22, ENDS[end]), (11, RENEWS)]
    assert at_the_desk(account, NOON) == lines(account, NOON)
    rows.update(plan=case.plan[2:])  # both tries before the end of access were made
    assert lines(account, NOON + 6 * DAY) == [(18, BLOCK), (21, TRY), (22, ENDS[end]), (11, RENEWS)]
    rows.update(plan=case.plan[3:], blocked_at=case.block_at)
    assert lines(account, NOON + 8 * DAY) == [(21, TRY), (22, ENDS[end]), (11, RENEWS)]
    assert at_the_desk(account, NOON + 8 * DAY) == lines(account, NOON + 8 * DAY)
    rows.update(plan=[], next_at=None, status="ended", end_action=end, closed_at=NOON + 11 * DAY)
    assert lines(account, NOON + 12 * DAY) == []  # nothing more is billed until it is paid


@pytest.mark.parametrize("decline", ["lost_card", "authentication_required"])
def test_a_card_that_is_not_tried_again_has_no_next_try_until_there_is_another(decline):
    account, _ = late_account(decline)

    assert TRY not in [text for _day, text in lines(account, NOON)]
    assert (22, "We stop writing; access stays off until it is paid") in lines(account, NOON)
    Customer.objects.update(card_id="pm_2")
    assert lines(account, NOON)[:2] == [(14, TRY), (17, TRY)]
    assert (22, ENDS["freeze"]) in lines(account, NOON)


def test_each_further_attempt_says_that_it_comes_only_where_the_one_before_fails():
    account, _ = late_account()
    member = Member.objects.get(account=account)
    whys = [str(e.why) for e in what_comes_next(account, member, at=NOON) if str(e.text) == TRY]

    later = "Only if the attempt before fails too."
    assert whys == ["The bank refused it; the terms say on which days.", later, later]


def test_whoever_may_not_pay_reads_when_access_ends_and_of_no_attempt():
    account, _ = late_account()
    mate = make_member(account, user=make_user())

    assert lines(account, NOON, mate) == [(18, BLOCK), (22, ENDS["freeze"]), (11, RENEWS)]


def test_a_renewal_after_the_end_is_said_to_depend_on_the_payment():
    account, _ = late_account()
    member = Member.objects.get(account=account)
    renewal = next(e for e in what_comes_next(account, member, at=NOON) if str(e.text) == RENEWS)

    assert str(renewal.why) == "Only if the unpaid invoice is paid before."
    DunningCase.objects.update(blocked_at=NOON)
    renewal = next(e for e in what_comes_next(account, member, at=NOON) if str(e.text) == RENEWS)
    assert str(renewal.why).endswith("before; then later by as many days as access was off.")


@pytest.mark.parametrize("is_free", [False, True])
def test_a_trial_shows_every_planned_step_from_the_rows_that_the_sweep_takes(is_free):
    if is_free:
        make_free_plan()
    trial = make_trial(terms=make_terms(trial_end_plan="free_plan" if is_free else "freeze"))
    member, at = Member.objects.get(account=trial.account), MONDAY + DAY / 24
    found = what_comes_next(Account.objects.get(pk=trial.account_id), member, at=at)
    found = [entry for entry in found if entry.kind != "subscription_started"]
    planned = TrialStep.objects.filter(subscription=trial).values_list("due_at", flat=True)
    last = "The free plan begins" if is_free else "Access is turned off, unless you choose a plan before"

    assert [entry.at for entry in found] == sorted(planned)
    assert [entry.kind for entry in found] == [
        *("trial_ends", "trial_ends", "", "trial_over", "trial_over", "trial_over", "", "trial_farewell")
    ]
    assert [str(entry.text) for entry in found if not entry.is_mail] == ["Your trial of Solo ends", last]
    assert [entry.text for entry in found if not entry.why] == []
    mails = [str(entry.text) for entry in found if entry.is_mail]
    assert len(set(mails)) == len(mails)  # several of one kind are told apart
    assert at_the_desk(trial.account, at) == lines(trial.account, at)
