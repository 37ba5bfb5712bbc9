"""Accounts and people in the admin site."""

from accounts.admin import accounts, jobs, people, terms

__all__ = ["accounts", "jobs", "people", "terms"]
