"""Billing in the admin site: each noun has a module of its own."""

from billing.admin import dunning, mirror, money, prices, provider, reports, subscriptions, trials

__all__ = ["dunning", "mirror", "money", "prices", "provider", "reports", "subscriptions", "trials"]
