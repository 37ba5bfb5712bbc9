"""The sweep in sets leaves what a loop with the single verbs leaves, row by row."""

import pytest
from django.db import transaction

from accounts.models import Account, Event, Notice
from bench import trial_sweep as bench
from billing.models import Subscription, TrialStep
from billing.tests.trial_worlds import DAY, MONDAY, diary, live_on, make_trial
from billing.trial_sweep import run_trials

pytestmark = pytest.mark.django_db


def left_behind(act):
    """Every row as `act` leaves it, without the keys that a sequence gives; the world is as before then."""
    found = []
    with transaction.atomic():
        act()
        for model in (Account, Subscription, TrialStep, Event, Notice):
            columns = [f.attname for f in model._meta.concrete_fields if not f.primary_key]
            found.append(sorted(map(repr, model.objects.order_by().values(*columns))))
        transaction.set_rollback(True)
    return found


def twice():
    bench._sweep()
    bench._sweep()


def test_the_sweep_and_the_loop_end_in_the_same_rows():
    bench.make_accounts(14)
    bench.make_due(10)
    before, swept = left_behind(lambda: None), left_behind(bench._sweep)
    looped = left_behind(lambda: bench._loop(10))

    assert swept == looped == left_behind(twice) != before
    assert sum("'frozen'" in row for row in swept[0]) == 5
    assert sum("'trial_over'" in row and "'owed'" in row for row in swept[4]) == 5


def test_it_costs_the_same_statements_for_many_as_for_few(django_assert_max_num_queries):
    bench.make_accounts(60)
    for due in (6, 60):
        with transaction.atomic():
            bench.make_due(due)
            with django_assert_max_num_queries(55):
                bench._sweep()
            transaction.set_rollback(True)
    with django_assert_max_num_queries(3):
        run_trials(at=bench.NOW)


def test_two_trials_at_different_steps_are_taken_in_one_run():
    first = make_trial()
    second = make_trial(at=MONDAY - 8 * DAY)
    live_on(MONDAY + 14.2 * DAY, since=MONDAY - 8 * DAY)

    assert diary(first.account, since=first.trial_end)[-1] == (0, "mail trial_over after_0")
    assert diary(second.account, since=second.trial_end)[-1] == (8, "mail trial_over after_8")
