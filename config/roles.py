"""Which role of staff may do what: the whole of it, in one table.

A `view_` permission opens a list. A `change_` permission on a row that nobody edits allows its acts
(send again, give up), `add_cancellation` the wizard for a caller, `view_refundmovement` the reports.
Written after every migration; who has a role is decided by superusers in the admin site.
"""

from typing import Any, Final

from django.contrib.auth.models import Group, Permission

SUPPORT: Final = """
    accounts.view_account accounts.view_member accounts.view_notice accounts.change_notice
    accounts.view_event accounts.delete_suppression
    accounts.view_apikey accounts.change_apikey accounts.view_webhookdelivery accounts.change_webhookdelivery
    accounts.view_hold accounts.add_hold accounts.change_hold
    billing.view_subscription billing.view_customer billing.view_refund
    billing.view_pricechange billing.view_plannedprice
    billing.view_trialrequest billing.change_trialrequest
    billing.view_trialextension billing.add_trialextension billing.add_trialallowance
    billing.change_subscription billing.view_dunningcase billing.change_dunningcase
    billing.view_instruction billing.change_instruction billing.view_incoming
    offboarding.view_cancellation offboarding.add_cancellation
    offboarding.view_closure offboarding.view_reservation offboarding.view_export
    offboarding.view_exitreason offboarding.change_exitreason offboarding.add_exitreason
    djstripe.view_customer djstripe.view_subscription djstripe.view_invoice djstripe.view_charge
    djstripe.view_refund djstripe.view_dispute
"""
FINANCE: Final = """
    billing.view_pricechange billing.view_plannedprice
    billing.view_refundmovement billing.view_refund billing.view_invoice billing.view_payment
    billing.view_dispute
    djstripe.view_invoice djstripe.view_charge djstripe.view_refund djstripe.view_dispute
"""
OPERATORS: Final = """
    accounts.view_jobrun accounts.change_jobswitch
"""
ROLES: Final = {
    name: frozenset(permissions.split())
    for name, permissions in (("support", SUPPORT), ("finance", FINANCE), ("operators", OPERATORS))
}


def write_roles(using: str = "default", **_: Any) -> None:
    """Give each role exactly what the table says. Raises where a permission is unknown."""
    known = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.using(using).select_related("content_type")
    }
    for name, wanted in ROLES.items():
        missing = sorted(wanted - known.keys())
        if missing:
            raise LookupError(f"The role {name} names unknown permissions: {missing}")
        group, _created = Group.objects.using(using).get_or_create(name=name)
        group.permissions.set([known[label] for label in sorted(wanted)])
