"""Amounts of invoices: discounts, taxes, totals, prorations. Pure functions on integers of the minor unit."""

from __future__ import annotations

from fractions import Fraction

from sandbox.store import Doc


def round_half_up(value: Fraction) -> int:
    """Round to the nearest integer, halves away from zero."""
    whole = int(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole


def prorate(amount: int, start: int, end: int, at: int) -> int:
    """The share of `amount` for the seconds from `at` to `end`, out of the seconds from `start` to `end`."""
    if end <= start:
        return 0
    return round_half_up(Fraction(amount * (end - min(max(at, start), end)), end - start))


def split(total: int, weights: list[int]) -> list[int]:
    """Share out `total` by weight with the largest remainders first; the parts sum up to it exactly."""
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    exact = [Fraction(total * weight, whole) for weight in weights]
    parts = [int(value) if value >= 0 else -int(-value) for value in exact]
    order = sorted(range(len(weights)), key=lambda n: (-abs(exact[n] - parts[n]), n))
    step = 1 if total >= 0 else -1
    for n in order[: abs(total - sum(parts))]:
        parts[n] += step
    return parts


def percentage_of(amount: int, percent: float) -> int:
    """`percent` per cent of an amount, rounded half up; the percentage is taken as it is written."""
    return round_half_up(amount * Fraction(str(percent)) / 100)


def discount_lines(lines: list[Doc], discounts: list[tuple[str, Doc]]) -> None:
    """Write `discount_amounts` on discountable, positive lines; (discount id, coupon) one after another."""
    for line in lines:
        line["discount_amounts"] = []
    able = [line for line in lines if line["discountable"] and line["amount"] > 0]
    for id, coupon in discounts:
        left = [line["amount"] - sum(d["amount"] for d in line["discount_amounts"]) for line in able]
        if coupon.get("percent_off"):
            cuts = [percentage_of(amount, coupon["percent_off"]) for amount in left]
        else:
            cuts = split(min(coupon["amount_off"] or 0, sum(left)), left)
        for line, cut in zip(able, cuts, strict=True):
            line["discount_amounts"].append({"amount": cut, "discount": id})
    for line in lines:
        line["discounts"] = [d["discount"] for d in line["discount_amounts"]]


def tax_line(line: Doc, rates: list[Doc]) -> None:
    """Write `taxes` on a line: exclusive rates on the discounted amount, inclusive ones contained in it."""
    net = line["amount"] - sum(d["amount"] for d in line["discount_amounts"])
    inclusive = sum((Fraction(str(rate["percentage"])) for rate in rates if rate["inclusive"]), Fraction(0))
    base = round_half_up(Fraction(net) / (1 + inclusive / 100))
    line["taxes"] = [
        {
            "amount": percentage_of(base, rate["percentage"])
            if not rate["inclusive"] or inclusive != Fraction(str(rate["percentage"]))
            else net - base,
            "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
            "tax_rate_details": {"tax_rate": rate["id"]},
            "taxability_reason": "standard_rated",
            "taxable_amount": base,
            "type": "tax_rate_details",
        }
        for rate in rates
    ]


def _sum_by(entries: list[Doc], key: str) -> list[Doc]:
    sums: dict[str, Doc] = {}
    for entry in entries:
        name = str(entry[key])
        if name not in sums:
            sums[name] = dict(entry)
        else:
            sums[name]["amount"] += entry["amount"]
            if entry.get("taxable_amount") is not None:
                sums[name]["taxable_amount"] += entry["taxable_amount"]
    return list(sums.values())


def totals(lines: list[Doc]) -> Doc:
    """The sums that an invoice shows, from its finished lines."""
    subtotal = sum(line["amount"] for line in lines)
    cuts = [cut for line in lines for cut in line["discount_amounts"]]
    taxes = [tax for line in lines for tax in line["taxes"] or []]
    exclusive = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")
    inclusive = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "inclusive")
    net = subtotal - sum(cut["amount"] for cut in cuts)
    return {
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - inclusive,
        "total": net + exclusive,
        "total_excluding_tax": net - inclusive,
        "total_discount_amounts": _sum_by(cuts, "discount"),
        "total_taxes": _sum_by(taxes, "tax_rate_details"),
    }
