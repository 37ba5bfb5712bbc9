"""Rules of law that are numbers: data with a source and a date, not code.

`verified_on` is None where nobody has confirmed the rule against its source: it is then shown as
"not verified". None of this is legal advice.
"""

from accounts.law.books import STRICTEST_YEARS, TAX_RETENTION, TaxRetention, books_end, tax_years
from accounts.law.notice_rules import NOTICE_RULES, EventKind, NoticeRule, rule_names
from accounts.law.windows import (
    NoticeWindow,
    Reminder,
    broken_rules,
    days_to_tell,
    notice_windows,
    reminder_days,
    rules_for,
)
from accounts.law.withdrawal import EU_COUNTRIES, WITHDRAWAL_DAYS, withdrawal_days

__all__ = [
    "EU_COUNTRIES",
    "NOTICE_RULES",
    "STRICTEST_YEARS",
    "TAX_RETENTION",
    "WITHDRAWAL_DAYS",
    "EventKind",
    "NoticeRule",
    "NoticeWindow",
    "Reminder",
    "TaxRetention",
    "books_end",
    "broken_rules",
    "days_to_tell",
    "notice_windows",
    "reminder_days",
    "rule_names",
    "rules_for",
    "tax_years",
    "withdrawal_days",
]
