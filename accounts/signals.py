"""Signals through which the apps above hear of what happens here."""

from django.dispatch import Signal

#: An account's access was opened or closed: `account`, `at`. Sent inside the transaction.
access_changed = Signal()
