"""Signals through which leaving hears of money; each is sent inside the transaction that wrote the fact."""

from django.dispatch import Signal

#: `subscription`, `before` (its status and cancel_at before), `at`.
subscription_changed = Signal()
#: A payment was seen for the first time: `payment`, `at`.
payment_received = Signal()
#: `refund`, `at`: its state moved.
refund_changed = Signal()
#: `instruction`, `at`: the provider carried it out.
instruction_done = Signal()
#: The trials of these accounts are over and they were thanked: `account_ids` (frozen ones), `at`.
trials_closed = Signal()
