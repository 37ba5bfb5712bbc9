"""Signals through which the apps above hear of what happens here. All are sent inside the transaction."""

from django.dispatch import Signal

#: Access of these accounts was opened or closed: `account_ids` (a list, in the order of the keys, as long
#: as a sweep's chunk), `at`. Whoever listens writes its rows in sets.
access_changed = Signal()
#: Someone opened an account (sender `Account`): `account`, `at`. Billing puts it on its first plan.
account_opened = Signal()
#: The account's country, zone, name or language was changed: `account`, `changed` (column names), `at`.
account_changed = Signal()
#: A hold on the account was placed or ended: `account`, `at`. Whoever promised a date works it out again.
hold_changed = Signal()
