"""The account's money: balance transactions and the balance.

https://docs.stripe.com/api/balance_transactions, https://docs.stripe.com/api/balance
"""

from __future__ import annotations

from sandbox.store import Doc, new_id
from sandbox.world import World

ZERO_DECIMAL = frozenset((
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof",
    "xpf",
))  # fmt: skip
SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}
SETTLING_SECONDS = 2 * 86400
CATEGORIES = {
    "charge": "charge",
    "payment": "charge",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund_failure",
    "adjustment": "dispute",
}


def money(amount: int, currency: str) -> str:
    """An amount as Stripe writes it in messages: $12.34."""
    number = f"{amount:,}" if currency in ZERO_DECIMAL else f"{amount / 100:,.2f}"
    symbol = SYMBOLS.get(currency)
    return f"{symbol}{number}" if symbol else f"{number} {currency.upper()}"


def stripe_fee(amount: int, currency: str) -> int:
    """2.9 % rounded half up, plus 30 minor units (none in currencies without decimals)."""
    return (amount * 29 + 500) // 1000 + (0 if currency in ZERO_DECIMAL else 30)


def post(
    world: World,
    source: Doc,
    type: str,
    amount: int,
    *,
    fee: int = 0,
    description: str | None = None,
    category: str = "",
) -> Doc:
    """Book an amount (minor units, signed) against the account's balance."""
    now = world.now_for(source)
    fees = [
        {
            "amount": fee,
            "application": None,
            "currency": source["currency"],
            "description": _fee_name(type),
            "type": "stripe_fee",
        }
    ]
    return world.add(
        {
            "id": new_id("txn"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": now + SETTLING_SECONDS,
            "balance_type": "payments",
            "created": now,
            "currency": source["currency"],
            "description": description,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": fees if fee else [],
            "net": amount - fee,
            "reporting_category": category or CATEGORIES[type],
            "source": source["id"],
            "status": "pending",
            "type": type,
            "_": {"clock": world.clock_of(source), "due": now + SETTLING_SECONDS},
        }
    )


def _fee_name(type: str) -> str:
    return "Dispute fee" if type == "adjustment" else "Stripe processing fees"


def settle(world: World, transaction: Doc) -> None:
    """Pending money becomes available two days later (Stripe sends no event for it)."""
    transaction["status"] = "available"
    transaction["_"]["due"] = None
    world.save(transaction)


def retrieve_balance(world: World, params: Doc) -> Doc:
    """The sums of all balance transactions by currency."""
    sums: dict[str, dict[str, int]] = {"available": {}, "pending": {}}
    for transaction in world.find("balance_transaction"):
        side = sums[transaction["status"]]
        side[transaction["currency"]] = side.get(transaction["currency"], 0) + transaction["net"]
    currencies = sorted({*sums["available"], *sums["pending"], "usd"})

    def funds(side: dict[str, int]) -> list[Doc]:
        return [
            {
                "amount": side.get(currency, 0),
                "currency": currency,
                "source_types": {"card": side.get(currency, 0)},
            }
            for currency in currencies
        ]

    return {
        "object": "balance",
        "available": funds(sums["available"]),
        "connect_reserved": None,
        "livemode": False,
        "pending": funds(sums["pending"]),
        "refund_and_dispute_prefunding": {"available": funds({}), "pending": funds({})},
    }
