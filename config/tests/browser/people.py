"""The people of the browser tests, made by the product's own verbs before the worker wakes up."""

from accounts import clock
from config.demo.examples import Workshop, make_company

#: Each pays EUR 29.00 a month and is twenty days into the period; one test uses one of them.
PAYING = ("renew", "now", "days", "close", "call", "look")


def make() -> None:
    """The company, its staff, who pays, and one who has not begun to."""
    now = clock.now()
    make_company(now)
    Workshop("pay@example.com", now).open("Pay Ltd", days_ago=1)
    for name in PAYING:
        shop = Workshop(f"{name}@example.com", now)
        shop.pay(shop.open(f"{name.capitalize()} Ltd", days_ago=30), "team-monthly", at=shop.ago(20))
