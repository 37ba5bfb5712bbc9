"""Refunds as a person would check them: one ordinary month, one change per test."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from billing.refund_rules import (
    After,
    Basis,
    MoreThanLeftError,
    PaidInvoice,
    PaidLine,
    RefundFacts,
    RefundTerms,
    Rule,
    full_refund_deadline,
    goodwill_refund,
    is_better_or_equal,
    refund_by_law,
    refund_for_stopping_now,
    unused_seconds,
    used_part_of_open_invoice,
    voluntary_refund_allowed_from,
    withdrawal_deadline,
)

DAY = 86_400
MADRID = "Europe/Madrid"
TERMS = RefundTerms(full_days=3, after=After.PRO_RATA, keep_access=True, once_per_months=12)


def epoch(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


RENEWAL = epoch("2026-06-01T10:00:00")
END = RENEWAL + 30 * DAY


def make_line(
    gross: int = 3000, *, tax: int = 500, starts: int = RENEWAL, ends: int = END, line: str = "il_1"
):
    return PaidLine(line=line, net=gross - tax, tax=tax, starts=starts, ends=ends)


def make_invoice(*lines: PaidLine, **changes: object) -> PaidInvoice:
    lines = lines or (make_line(),)
    cash = max(0, sum(line.gross for line in lines))
    plain = PaidInvoice("in_1", "py_1", "EUR", lines, cash, 0, 0, 0, RENEWAL, END, 0)
    return replace(plain, **changes)


def make_facts(*invoices: PaidInvoice, day: float = 10, **changes: object) -> RefundFacts:
    invoices = invoices or (make_invoice(),)
    plain = RefundFacts(invoices, RENEWAL + int(day * DAY), MADRID, RENEWAL, None, None, 0, False)
    return replace(plain, **changes)


def make_eu_consumer(*invoices: PaidInvoice, **changes: object) -> RefundFacts:
    return make_facts(
        *invoices, **{"contract_concluded_at": RENEWAL, "withdrawal_days": 14, "day": 2, **changes}
    )


def codes(result) -> list[str]:
    return [line.code for line in result.lines]


# The terms


def test_the_unused_part_comes_back_with_its_tax():
    result = refund_for_stopping_now(TERMS, make_facts(day=10))

    assert (result.amount, result.tax, result.credit) == (2000, 333, 0)
    assert (result.basis, result.rule, result.keeps_access) == (Basis.TERMS, Rule.PRO_RATA, False)
    assert codes(result) == ["terms_pro_rata", "line_unused"]


def test_everything_comes_back_within_the_days_after_a_renewal_and_access_stays():
    result = refund_for_stopping_now(TERMS, make_facts(day=2))

    assert (result.amount, result.tax, result.rule, result.keeps_access) == (3000, 500, Rule.FULL, True)


def test_the_last_second_of_the_window_is_inside_and_the_next_one_is_not():
    deadline = full_refund_deadline(TERMS, RENEWAL, MADRID)

    assert deadline == epoch("2026-06-04T23:59:59", MADRID)
    assert refund_for_stopping_now(TERMS, make_facts(declared_at=deadline)).rule is Rule.FULL
    assert refund_for_stopping_now(TERMS, make_facts(declared_at=deadline + 1)).rule is Rule.PRO_RATA


def test_terms_that_say_so_end_access_with_a_full_refund():
    result = refund_for_stopping_now(replace(TERMS, keep_access=False), make_facts(day=2))

    assert (result.amount, result.keeps_access) == (3000, False)


def test_terms_that_give_nothing_after_the_window_say_why():
    result = refund_for_stopping_now(replace(TERMS, after=After.NONE), make_facts(day=10))

    assert (result.amount, result.rule, result.why_none) == (0, Rule.NONE, "outside_window")
    assert result.parts == ()


def test_terms_that_give_nothing_need_no_excuse_where_nothing_was_paid():
    facts = make_facts(make_invoice(paid_cash=0), day=10)

    assert refund_for_stopping_now(replace(TERMS, after=After.NONE), facts).why_none == "nothing_paid"


def test_terms_that_never_refund_say_that_instead():
    result = refund_for_stopping_now(replace(TERMS, full_days=0, after=After.NONE), make_facts(day=0))

    assert result.why_none == "no_refund_in_terms"


def test_a_used_up_period_gives_nothing():
    result = refund_for_stopping_now(TERMS, make_facts(day=30))

    assert (result.amount, result.why_none) == (0, "fully_used")


def test_one_unused_second_rounds_up_to_one_cent():
    result = refund_for_stopping_now(TERMS, make_facts(declared_at=END - 1))

    assert result.amount == 1


def test_a_second_voluntary_refund_within_the_months_is_refused():
    facts = make_facts(day=2, last_voluntary_refund_at=epoch("2025-06-04T09:00:00"))

    result = refund_for_stopping_now(TERMS, facts)

    assert (result.amount, result.why_none) == (0, "once_per_period")
    assert result.lines[0].params["again_on"] == "2026-06-04"


@pytest.mark.parametrize(
    ("own", "card", "why", "code", "again"),
    [
        (None, "2025-06-04T09:00:00", "once_per_card", "terms_once_card", "2026-06-04"),
        ("2025-06-20T09:00:00", "2025-06-04T09:00:00", "once_per_period", "terms_once", "2026-06-20"),
        ("2025-06-04T09:00:00", "2025-06-20T09:00:00", "once_per_card", "terms_once_card", "2026-06-20"),
        ("2025-06-04T09:00:00", "2025-06-04T10:00:00", "once_per_period", "terms_once", "2026-06-04"),
    ],
)
def test_a_refund_of_another_account_to_the_same_card_counts(own, card, why, code, again):
    facts = make_facts(
        day=2, last_voluntary_refund_at=own and epoch(own), last_card_refund_at=card and epoch(card)
    )
    result = refund_for_stopping_now(TERMS, facts)

    assert (result.amount, result.why_none, result.lines[0].code) == (0, why, code)
    assert result.lines[0].params == {"months": 12, "again_on": again}
    assert refund_for_stopping_now(replace(TERMS, once_per_months=0), facts).amount == 3000


def test_the_months_are_over_on_the_same_calendar_day_whatever_the_hour():
    facts = make_facts(day=2, last_voluntary_refund_at=epoch("2025-06-03T23:59:00", MADRID))

    assert refund_for_stopping_now(TERMS, facts).amount == 3000


def test_the_months_after_29_february_are_over_on_28_february():
    last = epoch("2024-02-29T12:00:00")

    assert voluntary_refund_allowed_from(TERMS, last, MADRID) == "2025-02-28"


def test_terms_without_a_limit_refund_again_at_once():
    facts = make_facts(day=2, last_voluntary_refund_at=RENEWAL)

    assert refund_for_stopping_now(replace(TERMS, once_per_months=0), facts).amount == 3000


# What was paid and what is left


def test_nothing_paid_gives_nothing_back():
    result = refund_for_stopping_now(TERMS, make_facts(make_invoice(paid_cash=0)))

    assert (result.amount, result.credit, result.why_none) == (0, 0, "nothing_paid")


def test_no_invoices_at_all_is_no_error():
    result = refund_for_stopping_now(TERMS, make_facts(invoices=()))

    assert (result.amount, result.why_none, result.currency) == (0, "nothing_paid", "")


def test_an_earlier_refund_limits_what_can_go_back():
    result = refund_for_stopping_now(TERMS, make_facts(make_invoice(refunded=1800)))

    assert result.amount == 1200
    assert [(line.code, line.amount) for line in result.lines[1:]] == [
        ("line_unused", 2000),
        ("already_refunded", -800),
    ]


def test_a_payment_refunded_in_full_says_so():
    result = refund_for_stopping_now(TERMS, make_facts(make_invoice(refunded=3000), day=2))

    assert (result.amount, result.why_none, result.keeps_access) == (0, "already_refunded", False)


def test_a_disputed_payment_is_not_refunded_a_second_time():
    result = refund_for_stopping_now(TERMS, make_facts(make_invoice(disputed=3000), day=2))

    assert (result.amount, result.why_none) == (0, "disputed")


def test_of_two_reasons_the_weightier_one_is_given():
    facts = make_facts(make_invoice(refunded=1000, disputed=2000), day=2)

    assert refund_for_stopping_now(TERMS, facts).why_none == "disputed"


def test_more_gone_back_than_came_in_is_treated_as_nothing_left():
    result = refund_for_stopping_now(TERMS, make_facts(make_invoice(refunded=3000, disputed=3000)))

    assert result.amount == 0


def test_cash_goes_back_first_and_the_rest_as_credit_in_plain_sight():
    invoice = make_invoice(paid_cash=1500, paid_credit=1500)

    result = refund_for_stopping_now(TERMS, make_facts(invoice))

    assert (result.amount, result.credit, result.tax) == (1500, 500, 250)
    assert ("as_credit", -500) in [(line.code, line.amount) for line in result.lines]
    assert (result.parts[0].amount, result.parts[0].credit) == (1500, 500)


def test_an_invoice_paid_from_the_balance_goes_back_to_the_balance():
    result = refund_for_stopping_now(TERMS, make_facts(make_invoice(paid_cash=0, paid_credit=3000)))

    assert (result.amount, result.credit, result.why_none) == (0, 2000, "")


def test_credit_that_went_back_once_does_not_go_back_again():
    invoice = make_invoice(paid_cash=0, paid_credit=3000, credited=3000)

    result = refund_for_stopping_now(TERMS, make_facts(invoice))

    assert (result.credit, result.why_none) == (0, "already_refunded")


def test_of_an_invoice_paid_in_part_only_the_paid_share_is_prorated():
    result = refund_for_stopping_now(TERMS, make_facts(make_invoice(paid_cash=1500)))

    assert result.amount == 1000
    assert result.lines[1].params["billed"] == 3000


# Lines of many kinds


def test_a_change_of_plan_refunds_the_unused_part_of_the_new_plan():
    first = make_invoice()
    credit = make_line(-1500, tax=-250, starts=RENEWAL + 15 * DAY, line="il_2")
    dearer = make_line(4500, tax=750, starts=RENEWAL + 15 * DAY, line="il_3")
    change = make_invoice(credit, dearer, invoice="in_2", payment="py_2")

    result = refund_for_stopping_now(TERMS, make_facts(first, change, day=20))

    assert result.amount == 3000
    assert [part.amount for part in result.parts] == [1000, 2000]


def test_a_downgrade_credited_to_the_balance_is_not_paid_twice():
    credit = make_line(-1500, tax=-250, starts=RENEWAL + 15 * DAY, line="il_2")
    cheaper = make_line(750, tax=125, starts=RENEWAL + 15 * DAY, line="il_3")
    change = make_invoice(credit, cheaper, invoice="in_2", payment="")

    result = refund_for_stopping_now(TERMS, make_facts(make_invoice(), change, day=15))

    assert result.amount == 750
    assert [part.payment for part in result.parts] == ["py_1"]


def test_credits_above_the_charges_never_ask_for_money():
    result = refund_for_stopping_now(TERMS, make_facts(make_invoice(make_line(-900, tax=0), paid_cash=500)))

    assert (result.amount, result.why_none) == (0, "nothing_after_credits")
    assert sum(line.amount for line in result.lines) == 0


def test_a_prepaid_period_to_come_is_refunded_whole():
    year = make_line(30000, tax=5000, starts=END, ends=END + 365 * DAY)

    result = refund_for_stopping_now(TERMS, make_facts(make_invoice(year)))

    assert result.amount == 30000


def test_a_one_off_is_used_up_at_once_but_belongs_to_a_full_refund():
    invoice = make_invoice(make_line(), make_line(900, tax=150, ends=RENEWAL, line="il_setup"))

    assert refund_for_stopping_now(TERMS, make_facts(invoice, day=10)).amount == 2000
    assert refund_for_stopping_now(TERMS, make_facts(invoice, day=2)).amount == 3900


def test_a_one_off_yet_to_come_is_unused():
    later = make_line(900, tax=150, starts=END, ends=END, line="il_workshop")

    assert refund_for_stopping_now(TERMS, make_facts(make_invoice(later))).amount == 900


def test_a_cent_left_over_is_explained_by_the_line_that_has_a_fraction():
    thirds = make_line(1000, tax=0, line="il_2")

    result = refund_for_stopping_now(TERMS, make_facts(make_invoice(make_line(), thirds), day=10))

    assert [line.amount for line in result.lines] == [0, 2000, 667]


def test_usage_billed_in_arrears_stays_paid_when_a_renewal_is_undone():
    usage = make_line(700, tax=0, starts=RENEWAL - 30 * DAY, ends=RENEWAL, line="il_usage")

    result = refund_for_stopping_now(TERMS, make_facts(make_invoice(make_line(), usage), day=2))

    assert result.amount == 3000
    assert "line_earlier_period" in codes(result)


def test_a_period_without_length_or_turned_round_is_safe():
    invoice = make_invoice(make_line(ends=RENEWAL - 5))

    assert refund_for_stopping_now(TERMS, make_facts(invoice)).why_none == "fully_used"


# Free days


def test_free_days_freeze_the_refund_while_they_run():
    before = refund_for_stopping_now(TERMS, make_facts(day=10))
    extended = make_invoice(extension_seconds=7 * DAY, extension_from=RENEWAL + 10 * DAY)

    assert refund_for_stopping_now(TERMS, make_facts(extended, day=10)).amount == before.amount
    assert refund_for_stopping_now(TERMS, make_facts(extended, day=17)).amount == before.amount
    assert refund_for_stopping_now(TERMS, make_facts(extended, day=18)).amount == before.amount - 100


def test_free_days_of_unknown_date_count_in_the_customers_favour():
    extended = make_invoice(extension_seconds=7 * DAY)

    assert unused_seconds(make_line(), RENEWAL + 10 * DAY, extension_seconds=7 * DAY) == 27 * DAY
    assert refund_for_stopping_now(TERMS, make_facts(extended, day=5)).amount == 3000


def test_free_days_over_before_a_line_began_do_not_lengthen_it():
    line = make_line(starts=RENEWAL + 20 * DAY)
    at = RENEWAL + 25 * DAY

    unused = unused_seconds(line, at, extension_seconds=7 * DAY, extension_from=RENEWAL + 10 * DAY)

    assert unused == 5 * DAY


# The law


def test_the_law_gives_everything_where_no_immediate_start_was_asked_for():
    terms = replace(TERMS, full_days=0, after=After.NONE)

    result = refund_for_stopping_now(terms, make_eu_consumer(day=10))

    assert (result.amount, result.basis, result.rule) == (3000, Basis.STATUTORY, Rule.FULL)
    assert result.keeps_access is False
    assert codes(result)[:2] == ["law_comes_first", "law_full"]


def test_the_law_gives_the_unused_part_after_an_immediate_start():
    terms = replace(TERMS, full_days=0, after=After.NONE)

    result = refund_for_stopping_now(terms, make_eu_consumer(day=3, immediate_start_consented=True))

    assert (result.amount, result.basis, result.rule) == (2700, Basis.STATUTORY, Rule.PRO_RATA)


def test_terms_that_give_more_than_the_law_are_kept():
    result = refund_for_stopping_now(TERMS, make_eu_consumer(immediate_start_consented=True))

    assert (result.amount, result.basis, result.keeps_access) == (3000, Basis.TERMS, True)
    assert result.lines[0].code == "terms_give_more"
    assert result.lines[0].params == {"terms": 3000, "law": 2800}


def test_equal_money_with_access_kept_is_more_than_the_law():
    result = refund_for_stopping_now(TERMS, make_eu_consumer())

    assert (result.amount, result.basis, result.keeps_access) == (3000, Basis.TERMS, True)


def test_the_law_undoes_usage_of_the_contract_too():
    usage = make_line(700, tax=0, starts=RENEWAL - 3 * DAY, ends=RENEWAL, line="il_usage")

    result = refund_by_law(make_eu_consumer(make_invoice(make_line(), usage)))

    assert result is not None
    assert result.amount == 3700


def test_on_a_tie_the_law_is_the_basis():
    terms = replace(TERMS, keep_access=False)

    assert refund_for_stopping_now(terms, make_eu_consumer()).basis is Basis.STATUTORY


def test_the_limit_on_voluntary_refunds_never_limits_the_law():
    result = refund_for_stopping_now(TERMS, make_eu_consumer(last_voluntary_refund_at=RENEWAL - DAY))

    assert (result.amount, result.basis) == (3000, Basis.STATUTORY)


def test_the_withdrawal_period_ends_with_the_fourteenth_day_and_not_before():
    deadline = withdrawal_deadline(RENEWAL, 14, MADRID)

    assert deadline == epoch("2026-06-15T23:59:59", MADRID)
    assert refund_by_law(make_eu_consumer(declared_at=deadline)) is not None
    assert refund_by_law(make_eu_consumer(declared_at=deadline + 1)) is None


def test_where_the_law_gives_no_withdrawal_only_the_terms_count():
    assert refund_by_law(make_eu_consumer(withdrawal_days=0)) is None
    assert refund_by_law(make_eu_consumer(contract_concluded_at=None)) is None


# Currencies


def test_yen_round_to_whole_yen():
    invoice = make_invoice(make_line(1000, tax=91), currency="JPY")

    assert refund_for_stopping_now(TERMS, make_facts(invoice, day=20)).amount == 334


def test_three_decimals_are_paid_out_in_tens_in_the_customers_favour():
    invoice = make_invoice(make_line(10_000, tax=0), currency="KWD")

    result = refund_for_stopping_now(TERMS, make_facts(invoice, day=20))

    assert result.amount == 3340
    assert [(line.code, line.amount) for line in result.lines[1:]] == [("line_unused", 3334), ("rounding", 6)]


def test_what_cannot_be_paid_out_of_an_odd_remainder_is_explained():
    invoice = make_invoice(make_line(10_000, tax=0), currency="KWD", refunded=15)

    result = refund_for_stopping_now(TERMS, make_facts(invoice, day=2))

    assert result.amount == result.parts[0].amount == 9980
    assert [(line.code, line.amount) for line in result.lines[2:]] == [
        ("already_refunded", -15),
        ("rounding", -5),
    ]


def test_one_refund_is_in_one_currency():
    other = make_invoice(invoice="in_2", payment="py_2", currency="USD")

    with pytest.raises(ValueError, match="one currency"):
        refund_for_stopping_now(TERMS, make_facts(make_invoice(), other))


def test_a_payment_listed_twice_is_refused():
    with pytest.raises(ValueError, match="listed twice"):
        refund_for_stopping_now(TERMS, make_facts(make_invoice(), make_invoice(invoice="in_2")))


# Goodwill


def test_goodwill_takes_the_newest_payment_first():
    newer = make_invoice(invoice="in_2", payment="py_2", period_start=END)

    result = goodwill_refund(make_facts(make_invoice(), newer), 4000)

    assert [(part.payment, part.amount, part.tax) for part in result.parts] == [
        ("py_2", 3000, 500),
        ("py_1", 1000, 167),
    ]
    assert (result.basis, result.keeps_access, result.why_none) == (Basis.GOODWILL, True, "")


def test_goodwill_never_gives_more_than_is_left():
    facts = make_facts(make_invoice(refunded=1000))

    assert goodwill_refund(facts, 2000).amount == 2000
    with pytest.raises(MoreThanLeftError):
        goodwill_refund(facts, 2001)


@pytest.mark.parametrize("amount", [0, -1])
def test_goodwill_of_nothing_is_refused(amount: int):
    with pytest.raises(ValueError, match="cannot be paid out"):
        goodwill_refund(make_facts(), amount)


def test_goodwill_in_three_decimals_must_end_in_zero():
    facts = make_facts(make_invoice(currency="KWD"))

    with pytest.raises(ValueError, match="multiple of 10"):
        goodwill_refund(facts, 1005)


# The open invoice


def test_only_the_used_part_of_an_open_invoice_is_owed():
    used = used_part_of_open_invoice(make_invoice(paid_cash=0), RENEWAL + 10 * DAY)

    assert (used.amount, used.tax) == (1000, 167)
    assert [(line.code, line.amount) for line in used.lines] == [("line_used", 1000)]


def test_what_was_paid_on_an_open_invoice_counts_against_the_used_part():
    used = used_part_of_open_invoice(make_invoice(paid_cash=300, paid_credit=100), RENEWAL + 10 * DAY)

    assert used.amount == 600


def test_who_paid_more_than_was_used_owes_nothing():
    used = used_part_of_open_invoice(make_invoice(paid_cash=1200), RENEWAL + 10 * DAY)

    assert used.amount == 0
    assert sum(line.amount for line in used.lines) == 0


def test_an_open_invoice_for_a_period_to_come_is_owed_nothing():
    assert used_part_of_open_invoice(make_invoice(paid_cash=0), RENEWAL - DAY).amount == 0


# A second quote (C11)


def test_a_second_quote_may_be_better_but_takes_nothing_away():
    early = refund_for_stopping_now(TERMS, make_facts(day=10))
    late = refund_for_stopping_now(TERMS, make_facts(day=11))

    assert is_better_or_equal(early, late)
    assert is_better_or_equal(early, early)
    assert not is_better_or_equal(late, early)


def test_cash_turned_into_credit_is_not_as_good():
    cash = refund_for_stopping_now(TERMS, make_facts())
    credit = refund_for_stopping_now(TERMS, make_facts(make_invoice(paid_cash=0, paid_credit=3000)))

    assert not is_better_or_equal(credit, cash)


def test_losing_access_or_changing_currency_is_not_as_good():
    kept = refund_for_stopping_now(TERMS, make_facts(day=2))

    assert not is_better_or_equal(replace(kept, keeps_access=False), kept)
    assert not is_better_or_equal(replace(kept, currency="USD"), kept)
