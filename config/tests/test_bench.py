"""Every measurement runs, at a small size, for what it says and never for how fast it is."""

import pytest

from bench import dunning_sweep, gate, webhooks
from bench.__main__ import benches
from bench.harness import Result, Run, ratios, take_turns

#: Requests end their connections, and a measurement cleans its tables: neither inside a transaction.
pytestmark = pytest.mark.django_db(transaction=True)


def quiet(text):
    pass


@pytest.mark.once
def test_turns_go_round_and_only_rounds_are_compared():
    order = []
    runs = {
        name: Run(work=lambda name=name, each=each: order.append(name) or each)
        for name, each in (("ours", 1.0), ("slow", 4.0), ("fast", 0.5))
    }
    seconds = take_turns(runs, 3, say=quiet)

    assert order[:6] == ["ours", "slow", "fast", "slow", "fast", "ours"]
    assert ratios(seconds) == {"slow": 4.0, "fast": 0.5}


@pytest.mark.once
def test_the_last_line_leaves_out_what_does_not_apply():
    found = Result("x", 10, 2, {"bare": 0.123456}, statements=0, notes=["n"], seconds_per_row=1.0)

    assert found.as_json() == {
        "name": "x",
        "size": 10,
        "rounds": 2,
        "ratios": {"bare": 0.123},
        "statements": 0,
    }


@pytest.mark.once
def test_every_measurement_says_how_large_it_is():
    from importlib import import_module

    for name in benches():
        module = import_module(f"bench.{name}")
        assert module.SIZE > 0
        assert module.ROUNDS > 0


def test_the_gate_is_asked_with_no_statement_on_a_hit_and_one_on_a_miss(settings):
    settings.WHITENOISE_AUTOREFRESH = False
    found = gate.run(4, 1, requests=4)

    assert set(found.ratios) >= {"no_gate", "orm_gate", "check_no_gate"}
    assert found.statements == 1
    assert "'page miss': 3, 'page hit': 2, 'check miss': 1, 'check hit': 0" in found.notes[0]


def test_the_inbox_stores_every_event_of_its_measurement_in_one_statement(settings):
    settings.WHITENOISE_AUTOREFRESH = False
    found = webhooks.run(3, 1, threads=1)

    assert set(found.ratios) == {"djstripe_view", "djstripe_customer", "bare_view"}
    assert found.statements == 1


def test_the_sweep_of_unpaid_invoices_ends_as_its_references_do(settings):
    found = dunning_sweep.run(40, 1)
    assert set(found.ratios) == {"bare_sql", "row_loop", "bare_sql_few", "row_loop_few"}

    dunning_sweep.prepare(4)
    ends = []
    for work in (lambda: dunning_sweep.run_dunning(at=dunning_sweep.AT), *dunning_sweep.references(4)):
        work()
        ends.append(dunning_sweep.end_state())
    assert ends[0] == ends[1] == ends[2]
    assert len(ends[0][0]) == 4
