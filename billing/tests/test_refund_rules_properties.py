"""What must hold for every refund, whatever was paid, in every zone and currency.

Each property is a plain function of a made-up world. Two things feed it worlds: hypothesis, which shrinks
what it finds, and a seeded generator, which is fast enough for very many. A world is one case; all properties
are asked of it. In CI some thousands run in a few seconds. A million, by one command:

    python -m bench.refund_properties --cases 1000000

That one uses every core and prints its progress. REFUND_CASES and REFUND_SEED change the number of seeded
worlds and which ones they are. A failure names the seed of the world that broke. The last tests break the
code on purpose, once per property, and want that very property to notice.
"""

import itertools
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import ceil, floor
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import money, periods, refund_facts, refund_rules, refund_settlement
from billing.refund_rules import (
    After,
    Basis,
    PaidInvoice,
    PaidLine,
    RefundFacts,
    RefundResult,
    RefundTerms,
    Rule,
    full_refund_deadline,
    goodwill_refund,
    is_better_or_equal,
    paid_share,
    refund_by_law,
    refund_by_terms,
    refund_for_stopping_now,
    unused_share,
    used_part_of_open_invoice,
    withdrawal_deadline,
)

pytestmark = pytest.mark.once

SEEDED_CASES = int(os.environ.get("REFUND_CASES", "2500"))
SEED = int(os.environ.get("REFUND_SEED", "1"))
SHRINKABLE_CASES = 2000

DAY = 86_400
ZONES = (
    "UTC",
    "Europe/Madrid",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Nuuk",
    "Africa/Cairo",
    "Asia/Beirut",
    "America/Santiago",
)
CURRENCIES = ("EUR", "USD", "JPY", "KWD", "ISK")
FIRST = 1_300_000_000
LAST = 1_900_000_000

Pick = Callable[[int, int], int]


@dataclass(frozen=True)
class World:
    """Terms and facts, and how much later and longer to look again."""

    terms: RefundTerms
    facts: RefundFacts
    later: int
    longer: int


# Making worlds: every number comes from `pick(low, high)`, so both sources make worlds of the same kind.


def make_world(pick: Pick) -> World:
    currency = CURRENCIES[pick(0, len(CURRENCIES) - 1)]
    start = pick(FIRST, LAST)
    end = start + pick(1, 400 * DAY)
    invoices = tuple(make_invoice(pick, i, currency, start, end) for i in range(pick(1, 3)))
    facts = RefundFacts(
        invoices=invoices,
        declared_at=start + pick(0, (end - start) + 2 * DAY),
        zone=ZONES[pick(0, len(ZONES) - 1)],
        renewal_at=start if pick(0, 9) else None,
        last_voluntary_refund_at=None if pick(0, 3) else start - pick(0, 500 * DAY),
        contract_concluded_at=start - pick(0, 20 * DAY) if pick(0, 1) else None,
        withdrawal_days=pick(0, 1) * 14,
        immediate_start_consented=bool(pick(0, 1)),
        last_card_refund_at=None if pick(0, 3) else start - pick(0, 500 * DAY),
    )
    return World(make_terms(pick), facts, later=pick(0, 40 * DAY), longer=pick(0, 40 * DAY))


def make_terms(pick: Pick) -> RefundTerms:
    return RefundTerms(
        full_days=pick(0, 3) * pick(0, 10),
        after=(After.PRO_RATA, After.NONE)[pick(0, 1)],
        keep_access=bool(pick(0, 1)),
        once_per_months=pick(0, 1) * 12,
    )


def make_invoice(pick: Pick, number: int, currency: str, start: int, end: int) -> PaidInvoice:
    step = money.smallest_step(currency)
    lines: list[PaidLine] = []
    for _ in range(pick(1, 3)):
        lines += make_lines(pick, f"il_{number}_{len(lines)}", step, start, end)
    total = max(0, sum(line.gross for line in lines))
    # One invoice in five was paid in part only; the rest in full, from the card and from the balance.
    paid = total if pick(0, 4) else pick(0, total // step) * step
    credit = 0 if pick(0, 2) else pick(0, paid // step) * step
    cash = paid - credit
    return PaidInvoice(
        invoice=f"in_{number}",
        payment=f"py_{number}" if cash else "",
        currency=currency,
        lines=tuple(lines),
        paid_cash=cash,
        paid_credit=credit,
        refunded=0 if pick(0, 2) else pick(0, cash // step) * step,
        disputed=0 if pick(0, 4) else pick(0, cash // step) * step,
        period_start=start,
        period_end=end,
        extension_seconds=0 if pick(0, 2) else pick(0, 30 * DAY),
        extension_from=None if pick(0, 1) else start + pick(0, 60 * DAY),
        credited=0 if pick(0, 4) else pick(0, credit // step) * step,
    )


def make_lines(pick: Pick, name: str, step: int, start: int, end: int) -> list[PaidLine]:
    """A plan, perhaps changed midway (with its negative line), a one-off, arrears, or the period to come."""
    net = pick(0, 10 ** pick(1, 7)) * step
    tax_percent = (0, 7, 19, 21)[pick(0, 3)]
    tax = net * tax_percent // (100 * step) * step
    plan = PaidLine(name, net, tax, start, end)
    match pick(0, 6):
        case 0:
            return [replace(plan, ends=start)]
        case 1:
            return [replace(plan, starts=start - 30 * DAY, ends=start)]
        case 2:
            return [replace(plan, starts=end, ends=end + (end - start))]
        case 3:
            change = pick(start, end)
            part = (end - change, end - start)
            # Rounded towards zero: a credit that outgrew the plan it undoes would make waiting worth money.
            credit = money.prorate(net // step, *part, money.Rounding.DOWN) * step
            credit_tax = money.prorate(tax // step, *part, money.Rounding.DOWN) * step
            return [plan, PaidLine(f"{name}_credit", -credit, -credit_tax, change, end)]
        case _:
            return [plan]


def refund(world: World) -> RefundResult:
    return refund_for_stopping_now(world.terms, world.facts)


def declared(world: World, at: int) -> World:
    return replace(world, facts=replace(world.facts, declared_at=at))


def map_invoices(world: World, change: Callable[[PaidInvoice], PaidInvoice]) -> World:
    invoices = tuple(change(invoice) for invoice in world.facts.invoices)
    return replace(world, facts=replace(world.facts, invoices=invoices))


def exact_due(world: World, rule: Rule) -> Fraction:
    """The rule reckoned a second way, straight from its definition, for worlds without limits."""
    due = Fraction(0)
    for invoice in world.facts.invoices:
        paid = Fraction(min(invoice.paid, invoice.total), invoice.total) if invoice.total > 0 else 1
        for line in invoice.lines:
            share = unused_share(line, invoice, world.facts.declared_at) if rule is Rule.PRO_RATA else 1
            due += line.gross * share * paid
    return due


def unlimited(world: World) -> World:
    """The same world with nothing refunded, disputed or credited back yet."""
    return map_invoices(world, lambda invoice: replace(invoice, refunded=0, disputed=0, credited=0))


# The properties


def check_never_above_what_is_left_on_a_payment(world: World) -> None:
    left = {
        i.invoice: (max(0, i.paid_cash - i.refunded - i.disputed), max(0, i.paid_credit - i.credited))
        for i in world.facts.invoices
    }
    for part in refund(world).parts:
        assert 0 <= part.amount <= left[part.invoice][0]
        assert 0 <= part.credit <= left[part.invoice][1]


def check_parts_sum_to_the_result(world: World) -> None:
    result = refund(world)
    assert sum(part.amount for part in result.parts) == result.amount
    assert sum(part.tax for part in result.parts) == result.tax
    assert sum(part.credit for part in result.parts) == result.credit
    assert all(0 <= part.tax <= part.amount for part in result.parts)


def check_explanation_sums_to_the_amount(world: World) -> None:
    result = refund(world)
    assert sum(line.amount for line in result.lines) == result.amount
    named = {i.invoice for i in world.facts.invoices} | {""}
    assert {line.invoice for line in result.lines} <= named
    used = [used_part_of_open_invoice(i, world.facts.declared_at) for i in world.facts.invoices]
    assert all(sum(line.amount for line in part.lines) == part.amount for part in used)


def check_nothing_back_always_says_why(world: World) -> None:
    result = refund(world)
    assert bool(result.why_none) == (result.amount == 0 and result.credit == 0)
    assert not (result.why_none and (result.parts or result.keeps_access))


def check_a_later_declaration_never_gets_more(world: World) -> None:
    later_facts = replace(world.facts, declared_at=world.facts.declared_at + world.later)
    now, later = refund_by_terms(world.terms, world.facts), refund_by_terms(world.terms, later_facts)
    if now.rule is later.rule:
        assert later.amount <= now.amount
        assert later.value <= now.value
        assert now.keeps_access >= later.keeps_access


def check_more_free_time_never_gets_less(world: World) -> None:
    def extend(invoice: PaidInvoice) -> PaidInvoice:
        return replace(invoice, extension_seconds=invoice.extension_seconds + world.longer)

    assert refund(map_invoices(world, extend)).value >= refund(world).value


def check_free_time_that_begins_now_freezes_the_refund(world: World) -> None:
    at = world.facts.declared_at

    def begin(invoice: PaidInvoice) -> PaidInvoice:
        return replace(invoice, extension_seconds=world.longer, extension_from=at)

    plain = map_invoices(world, lambda invoice: replace(invoice, extension_seconds=0, extension_from=None))
    frozen = declared(map_invoices(world, begin), at + world.longer)
    for before, after in zip(plain.facts.invoices, frozen.facts.invoices, strict=True):
        for line in before.lines:
            if line.starts <= at < line.ends:
                assert unused_share(line, after, at + world.longer) == unused_share(line, before, at)


def check_the_currency_changes_only_the_scale(world: World) -> None:
    step = money.smallest_step(world.facts.invoices[0].currency)

    def in_cents(invoice: PaidInvoice) -> PaidInvoice:
        lines = tuple(replace(li, net=li.net // step, tax=li.tax // step) for li in invoice.lines)
        amounts = ("paid_cash", "paid_credit", "refunded", "disputed", "credited")
        scaled = {name: getattr(invoice, name) // step for name in amounts}
        return replace(invoice, currency="EUR", lines=lines, **scaled)

    here, in_euro = refund(world), refund(map_invoices(world, in_cents))
    assert (here.amount, here.credit) == (in_euro.amount * step, in_euro.credit * step)
    assert here.amount % step == 0


def check_everything_comes_back_inside_the_window(world: World) -> None:
    terms = replace(world.terms, full_days=7, once_per_months=0)
    start = world.facts.invoices[0].period_start
    paid_at = start + (world.later - 10 * DAY)  # before it, too: a payment in advance changes nothing
    deadline = full_refund_deadline(terms, max(start, paid_at), world.facts.zone)
    whole = [line for invoice in world.facts.invoices for line in invoice.lines if line.ends > line.starts]
    if any(line.ends <= start for line in whole):
        return
    plain = unlimited(world)
    for at in (start, deadline, deadline + 1):
        facts = replace(plain.facts, declared_at=at, renewal_at=start, paid_at=paid_at)
        result = refund_by_terms(terms, facts)
        assert (result.rule is Rule.FULL) == (at <= deadline)
        if at <= deadline:
            assert result.value == max(0, round_up(exact_due(plain, Rule.FULL), result.currency))
            assert result.keeps_access == (terms.keep_access and result.value > 0)


def check_deadlines_end_with_the_local_day(world: World) -> None:
    zone, start = world.facts.zone, world.facts.invoices[0].period_start
    days = 1 + world.later // DAY
    deadline = withdrawal_deadline(start, days, zone)
    first = datetime.fromtimestamp(start, ZoneInfo(zone)).date()
    last_day = first + timedelta(days=days)
    assert datetime.fromtimestamp(deadline + 1, ZoneInfo(zone)).date() > last_day
    # An hour over at most where the clocks swallow midnight, a day where they swallow the date (Apia, 2011).
    swallowed = (zone, last_day) == ("Pacific/Apia", date(2011, 12, 30))
    assert datetime.fromtimestamp(deadline - 3600, ZoneInfo(zone)).date() == last_day or swallowed
    assert deadline > start + (days - 1) * DAY
    day_more = withdrawal_deadline(start, days + 1, zone)
    assert day_more == deadline if swallowed else day_more > deadline


def check_rounding_is_below_one_unit_and_for_the_customer(world: World) -> None:
    plain = unlimited(world)
    result = refund_by_terms(RefundTerms(0, After.PRO_RATA, False, 0), plain.facts)
    exact = max(Fraction(0), exact_due(plain, Rule.PRO_RATA))
    assert exact <= result.value < exact + money.smallest_step(result.currency)


def check_used_and_unused_part_make_up_the_invoice(world: World) -> None:
    for invoice in unlimited(world).facts.invoices:
        total = invoice.total
        if any(line.gross < 0 for line in invoice.lines):
            continue
        paid = replace(invoice, paid_cash=total, paid_credit=0)
        facts = replace(world.facts, invoices=(paid,))
        back = refund_by_terms(RefundTerms(0, After.PRO_RATA, False, 0), facts)
        owed = used_part_of_open_invoice(replace(invoice, paid_cash=0, paid_credit=0), facts.declared_at)
        assert back.amount + owed.amount == total


def check_the_law_is_never_undercut(world: World) -> None:
    by_law = refund_by_law(world.facts)
    result = refund(world)
    facts = world.facts
    applies = (
        facts.contract_concluded_at is not None
        and facts.withdrawal_days > 0
        and facts.declared_at
        <= withdrawal_deadline(facts.contract_concluded_at, facts.withdrawal_days, facts.zone)
    )
    assert applies == (by_law is not None)
    assert (result.basis is Basis.STATUTORY) <= applies
    assert is_better_or_equal(result, refund_by_terms(world.terms, facts)) or applies
    if by_law is not None:
        assert result.value >= by_law.value
        assert result.value >= refund_by_terms(world.terms, facts).value
        assert by_law.keeps_access is False
        assert by_law.rule is (Rule.PRO_RATA if facts.immediate_start_consented else Rule.FULL)


def check_the_voluntary_limit_never_limits_the_law(world: World) -> None:
    for fact in ("last_voluntary_refund_at", "last_card_refund_at"):
        limited = replace(world.facts, **{fact: world.facts.declared_at})
        by_law = refund_by_law(limited)
        by_terms = refund_by_terms(replace(world.terms, once_per_months=12), limited)
        assert by_terms.value == 0
        assert by_law == refund_by_law(replace(limited, **{fact: None}))


def check_asking_twice_gives_the_same_answer(world: World) -> None:
    assert refund(world) == refund(world)
    turned = replace(world.facts, invoices=tuple(reversed(world.facts.invoices)))
    again = refund_for_stopping_now(world.terms, turned)
    assert (again.amount, again.credit) == (refund(world).amount, refund(world).credit)


def check_a_refund_once_made_is_not_made_again(world: World) -> None:
    first = refund(world)
    given = {part.invoice: part for part in first.parts}

    def book(invoice: PaidInvoice) -> PaidInvoice:
        if (part := given.get(invoice.invoice)) is None:
            return invoice
        return replace(
            invoice, refunded=invoice.refunded + part.amount, credited=invoice.credited + part.credit
        )

    booked = map_invoices(world, book)
    second = refund(booked)
    for invoice in world.facts.invoices:
        cash = sum(p.amount for r in (first, second) for p in r.parts if p.invoice == invoice.invoice)
        assert cash <= invoice.left
    if first.rule is Rule.FULL and first.value == sum(i.left + i.credit_left for i in world.facts.invoices):
        assert second.value == 0


def check_goodwill_gives_what_was_asked_and_no_more_than_is_left(world: World) -> None:
    step = money.smallest_step(world.facts.invoices[0].currency)
    left = {invoice.invoice: invoice.left for invoice in world.facts.invoices}
    most = sum(left.values())
    if most:
        result = goodwill_refund(world.facts, money.round_up(1 + world.later % most, step))
        assert sum(part.amount for part in result.parts) == result.amount
        assert all(0 < part.amount <= left[part.invoice] for part in result.parts)
        assert sum(line.amount for line in result.lines) == result.amount
    with pytest.raises(ValueError):
        goodwill_refund(world.facts, most + step)


def check_a_negative_line_only_ever_reduces(world: World) -> None:
    def without_credits(invoice: PaidInvoice) -> PaidInvoice:
        lines = tuple(line for line in invoice.lines if line.gross >= 0)
        return replace(invoice, lines=lines, paid_cash=sum(line.gross for line in lines), paid_credit=0)

    def with_credits(invoice: PaidInvoice) -> PaidInvoice:
        return replace(invoice, paid_cash=max(0, invoice.total), paid_credit=0)

    plain = unlimited(world)
    more, less = refund(map_invoices(plain, without_credits)), refund(map_invoices(plain, with_credits))
    assert 0 <= less.value <= more.value


def check_a_split_loses_nothing(world: World) -> None:
    weights = [max(0, line.gross) for invoice in world.facts.invoices for line in invoice.lines]
    amount = refund(world).value + world.later
    whole = sum(weights)
    if not whole:
        return
    for signed in (amount, -amount):
        shares = money.split(signed, weights)
        assert sum(shares) == signed
        assert all(
            abs(share - Fraction(signed * weight, whole)) < 1
            for share, weight in zip(shares, weights, strict=True)
        )


def check_only_integers_come_out(world: World) -> None:
    result = refund(world)
    figures = [result.amount, result.tax, result.credit]
    figures += [figure for p in result.parts for figure in (p.amount, p.tax, p.credit)]
    figures += [line.amount for line in result.lines]
    assert all(type(figure) is int for figure in figures)
    assert all(type(v) in {int, str} for line in result.lines for v in line.params.values())


def round_up(exact: Fraction, currency: str) -> int:
    return money.round_up(-(-exact.numerator // exact.denominator), money.smallest_step(currency))


PROPERTIES = [check for name, check in sorted(globals().items()) if name.startswith("check_")]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    return make_world(lambda low, high: draw(st.integers(low, high)))


@settings(
    max_examples=SHRINKABLE_CASES,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(worlds())
def test_every_property_holds_and_a_counterexample_is_made_small(world: World) -> None:
    for check in PROPERTIES:
        check(world)


def seeded_world(seed: int) -> World:
    return make_world(random.Random(seed).randint)


def check_seeds(checks: Sequence[Callable[[World], None]], seeds: range) -> None:
    """Ask `checks` of every world in `seeds`; the first failure says which world and which property."""
    for seed in seeds:
        world = seeded_world(seed)
        for check in checks:
            try:
                check(world)
            except (Exception, pytest.fail.Exception) as broken:
                raise AssertionError(f"{check.__name__} in seeded_world({seed}): {world}") from broken


def test_every_property_holds_in_many_seeded_worlds() -> None:
    first = SEED * 10**9

    check_seeds(PROPERTIES, range(first, first + SEEDED_CASES))


# Negative controls: each property must notice its own breakage


def without_remainder(amount: int, weights: list[int]) -> list[int]:
    return [amount * weight // (sum(weights) or 1) for weight in weights]


def in_utc(start: int, days: int, zone: str) -> int:
    del zone
    return int(periods.end_of_local_day(datetime.fromtimestamp(start + days * DAY, UTC), "UTC").timestamp())


def shortened_by_free_time(line: PaidLine, at: int, *, extension_seconds: int, **_: object) -> int:
    return min(line.whole_seconds, max(0, at - line.starts + extension_seconds))


def blind_to_free_time(line: PaidLine, at: int, **_: object) -> int:
    return min(line.whole_seconds, max(0, at - line.starts))


def growing_with_time(line: PaidLine, invoice: PaidInvoice, at: int) -> Fraction:
    return 1 - unused_share(line, invoice, at)


def forgetful() -> Callable[..., Fraction]:
    calls = itertools.count(1)
    return lambda *_: Fraction(1, next(calls))


def with_float(amount: int, tax: Fraction, gross: Fraction) -> float:
    return float(amount * tax / gross) if gross > 0 else 0.0


def blind_to_refunds(invoice: PaidInvoice) -> int:
    return invoice.paid_cash


def without_sign(invoice: PaidInvoice, line: PaidLine, share: Fraction, paid: Fraction) -> object:
    given = share * paid
    return refund_settlement._Due(invoice, line, share, paid, abs(line.gross) * given, abs(line.tax) * given)


def too_much(amount: int, step: int) -> int:
    return amount // step * step + step


def no_limit(*_: object) -> str:
    return ""


def half_paid(invoice: PaidInvoice) -> Fraction:
    return paid_share(invoice) / 2


BREAKAGES = [
    (check_never_above_what_is_left_on_a_payment, PaidInvoice, "left", property(blind_to_refunds)),
    (check_parts_sum_to_the_result, money, "split", without_remainder),
    (check_explanation_sums_to_the_amount, refund_settlement, "_lost_lines", lambda *_: []),
    (check_nothing_back_always_says_why, refund_settlement, "_why_none", lambda *_: ""),
    (check_a_later_declaration_never_gets_more, refund_settlement, "unused_share", growing_with_time),
    (check_more_free_time_never_gets_less, refund_facts, "used_seconds", shortened_by_free_time),
    (check_free_time_that_begins_now_freezes_the_refund, refund_facts, "used_seconds", blind_to_free_time),
    (check_the_currency_changes_only_the_scale, money, "round_up", lambda amount, step: amount),
    (check_everything_comes_back_inside_the_window, refund_settlement, "paid_share", half_paid),
    (check_deadlines_end_with_the_local_day, refund_rules, "_end_of_nth_day", in_utc),
    (check_rounding_is_below_one_unit_and_for_the_customer, refund_settlement, "ceil", floor),
    (check_used_and_unused_part_make_up_the_invoice, refund_rules, "floor", ceil),
    (check_the_law_is_never_undercut, refund_rules, "_rank", lambda result: -result.value),
    (check_the_voluntary_limit_never_limits_the_law, refund_rules, "voluntary_refund_allowed_from", no_limit),
    (check_asking_twice_gives_the_same_answer, refund_settlement, "unused_share", forgetful()),
    (check_a_refund_once_made_is_not_made_again, PaidInvoice, "left", property(blind_to_refunds)),
    (check_goodwill_gives_what_was_asked_and_no_more_than_is_left, money, "round_down", too_much),
    (check_a_negative_line_only_ever_reduces, refund_settlement, "_due", without_sign),
    (check_a_split_loses_nothing, money, "split", without_remainder),
    (check_only_integers_come_out, refund_settlement, "tax_within", with_float),
]


def test_every_property_has_its_own_breakage() -> None:
    assert {check for check, *_ in BREAKAGES} == set(PROPERTIES)


@pytest.mark.parametrize(
    ("check", "owner", "name", "broken"), BREAKAGES, ids=[check.__name__ for check, *_ in BREAKAGES]
)
def test_a_property_notices_when_the_code_is_broken(
    check: Callable[[World], None], owner: object, name: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, broken)

    with pytest.raises(AssertionError, match=check.__name__):
        check_seeds([check], range(300))
