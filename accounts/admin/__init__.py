"""Accounts and people in the admin site."""

from django.contrib import admin
from django.utils.translation import gettext_lazy

from accounts.admin import accounts, gate, holds, jobs, mails, people, terms

admin.site.index_title = gettext_lazy("Staff desk")

__all__ = ["accounts", "gate", "holds", "jobs", "mails", "people", "terms"]
