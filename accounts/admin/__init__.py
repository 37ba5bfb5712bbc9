"""Accounts and people in the admin site."""

from accounts.admin import accounts, gate, jobs, mails, people, terms

__all__ = ["accounts", "gate", "jobs", "mails", "people", "terms"]
