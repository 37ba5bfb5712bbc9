"""What an ending is called, what is suggested to who is in doubt, what comes of doing nothing: pure rules."""

import datetime as dt
from dataclasses import replace

import pytest

from accounts.models import Terms
from billing.tests.test_refund_rules import DAY, END, MADRID, make_facts, make_invoice
from offboarding.doing_nothing import decide_nothing
from offboarding.outcomes import Act, act_of, decide_outcome, default_ending, later_refund
from offboarding.quotes import leaving_terms
from offboarding.situation import Situation, Start

pytestmark = pytest.mark.once

TERMS = leaving_terms(Terms())


def stands(start=Start.PAYING, *, day=2, **changes):
    """Someone whose month of 30.00 EUR began `day` days ago; on trial nothing is paid."""
    paid = start in (Start.PAYING, Start.PAUSED)
    billing = replace(make_facts(day=day), invoices=(make_invoice(),) if paid else ())
    facts = {
        "start": start,
        "zone": MADRID,
        "currency": "EUR",
        "subscription": "x",
        "period_end": END,
        "unpaid_since": None,
        "teammates": 0,
        "last_free_days_at": None,
        "billing": billing,
        "unpaid": (),
    }
    return Situation(**(facts | changes))


SUGGESTED = {
    "the refund waits": (stands(), "stop_renewing"),
    "the refund waits, of the unused part": (stands(day=20), "stop_renewing"),
    "nothing to refund": (
        stands(day=2, billing=make_facts(make_invoice(refunded=3000), day=2)),
        "stop_renewing",
    ),
    "a card would be charged": (stands(Start.TRIAL_CARD), "stop_renewing"),
    "no time left for the refund": (stands(period_end=END - 28 * DAY), ""),
    "nothing needs to be done on a trial": (stands(Start.TRIAL), ""),
    "nor after it": (stands(Start.TRIAL_OVER), ""),
    "nor on the free plan": (stands(Start.FREE), ""),
    "a charge is under way": (stands(charging=3000), ""),
    "access is off already": (stands(Start.PAST_DUE, unpaid_until=END - 29 * DAY), ""),
    "nothing runs": (stands(Start.ENDED), ""),
}


@pytest.mark.parametrize("case", SUGGESTED)
def test_an_ending_is_suggested_only_where_it_forfeits_nothing(case):
    facts, suggested = SUGGESTED[case]

    assert default_ending(TERMS, facts) == suggested


@pytest.mark.parametrize("day", [0, 2, 5, 20, 29.99])
def test_the_refund_left_open_is_the_one_of_today_as_long_as_access_is_on(day):
    facts = stands(day=day)
    later = later_refund(TERMS, facts)
    now = decide_outcome(TERMS, facts, "stop_now")
    renewing = decide_outcome(TERMS, facts, "stop_renewing")

    assert later is not None
    assert (later.value, later.until) == (now.refund.value, renewing.access_ends_at)


def test_the_name_follows_what_is_executed():
    for start in Start:
        assert act_of("stop_now", start, keeps_access=True) == Act.REFUND_NOW
        assert act_of("stop_now", start, keeps_access=False) == Act.STOP_NOW
        assert act_of("free_days", start, keeps_access=False) == Act.FREE_DAYS
    # What is closed already is not closed again.
    assert act_of("close_delete", Start.ENDED, keeps_access=False) == Act.DELETE_DATA
    assert act_of("close_delete", Start.PAYING, keeps_access=False) == Act.CLOSE_DELETE
    kept = decide_outcome(TERMS, stands(), "stop_now")
    ended = decide_outcome(TERMS, stands(day=20), "stop_now")

    assert (kept.keeps_access, kept.access_ends_at > ended.access_ends_at) == (True, True)
    assert act_of("stop_renewing", Start.TRIAL, keeps_access=False) == Act.LEAVE_WITH_TRIAL
    assert act_of("stop_renewing", Start.PAYING, keeps_access=False) == Act.STOP_RENEWING


@pytest.mark.parametrize(("stays_free", "kept"), [(False, dt.date(2027, 1, 2)), (True, None)])
def test_doing_nothing_keeps_access_to_the_end_of_the_grace_and_data_from_the_thank_you_on(stays_free, kept):
    off = dt.datetime(2026, 7, 3, 21, 59, 59, tzinfo=dt.UTC)
    thanked = dt.datetime(2026, 7, 6, 22, 30, tzinfo=dt.UTC)  # half past midnight of the 7th in Madrid
    nothing = decide_nothing(off, thanked, stays_free=stays_free, zone=MADRID, retention_days=179)

    assert nothing.access_until == off
    assert (nothing.data_until.date() if nothing.data_until else None) == kept
