"""Accounts and people in the admin site."""

from accounts.admin import accounts, gate, holds, jobs, mails, people, terms

__all__ = ["accounts", "gate", "holds", "jobs", "mails", "people", "terms"]
