"""Who may still have a trial: one for each person and each card, unless support allows another."""

import datetime as dt

from django.db.models import Q

from accounts.models import Account, Member
from billing.models import Customer, Subscription, TrialAllowance


def had_trial(account: Account) -> bool:
    """Whether this account, another one of its owners, or another one with its card has had a trial.

    An address is only an owner's once it is verified, so one address has one trial. Three queries.
    """
    if TrialAllowance.objects.filter(account=account, used_at=None).exists():
        return False
    owners = Member.objects.owners().filter(account=account).values("user")
    theirs = Member.objects.filter(role=Member.Role.OWNER, user__in=owners).values("account")
    trials = Subscription.objects.exclude(trial_end=None)
    if trials.filter(Q(account=account) | Q(account__in=theirs)).exists():
        return True
    card = Customer.objects.filter(account=account).values_list("card_fingerprint", flat=True).first()
    if not card:
        return False
    others = Customer.objects.filter(card_fingerprint=card).values("account")
    return trials.filter(account__in=others).exists()


def use_allowance(account: Account, *, at: dt.datetime) -> None:
    """The trial that support allowed has begun."""
    TrialAllowance.objects.filter(account=account, used_at=None).update(used_at=at)
