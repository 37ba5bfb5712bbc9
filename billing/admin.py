"""Billing in the admin site. Each noun has a module of its own, which registers its pages when it is read."""

from billing import (  # noqa: F401
    admin_dunning,
    admin_mirror,
    admin_money,
    admin_prices,
    admin_provider,
    admin_reports,
    admin_subscriptions,
    admin_trials,
)
