"""Accounts and people in the admin site."""

from accounts.admin import accounts, people, terms

__all__ = ["accounts", "people", "terms"]
