"""Who may still have a trial: one for each person and each card, unless support allows another."""

import datetime as dt

from django.db.models import Exists, Q

from accounts.models import Account, Member
from billing.models import Customer, Subscription, TrialAllowance


def had_trial(account: Account) -> bool:
    """Whether this account, another one of its owners, or another one with its card has had a trial.

    An address is only an owner's once it is verified, so one address has one trial. What support allowed
    and was not used yet counts as none. One query.
    """
    owners = Member.objects.owners().filter(account=account).values("user")
    theirs = Member.objects.filter(role=Member.Role.OWNER, user__in=owners).values("account")
    card = Customer.objects.filter(account=account).exclude(card_fingerprint="").values("card_fingerprint")
    same_card = Customer.objects.filter(card_fingerprint__in=card).values("account")
    trials = Subscription.objects.exclude(trial_end=None).filter(
        Q(account=account) | Q(account__in=theirs) | Q(account__in=same_card)
    )
    allowed = TrialAllowance.objects.filter(account=account, used_at=None)
    return trials.filter(~Exists(allowed)).exists()


def use_allowance(account: Account, *, at: dt.datetime) -> None:
    """The trial that support allowed has begun."""
    TrialAllowance.objects.filter(account=account, used_at=None).update(used_at=at)
