"""Who may still have a trial: one for each person and each card, unless support allows another."""

import datetime as dt

from django.db.models import Exists, OuterRef, Q

from accounts.models import Account, Member
from accounts.sharing import shared
from billing.models import Customer, Subscription, TrialAllowance


def have_had_trial() -> Exists:
    """Of accounts: whether each, another one of its owners, or another one with its card has had a trial.

    An address is only an owner's once it is verified, so one address has one trial. What support allowed
    and was not used yet counts as none.
    """
    account = OuterRef(OuterRef(OuterRef("pk")))  # two subqueries up, and out of them
    owners = Member.objects.owners().filter(account=account).values("user")
    theirs = Member.objects.filter(role=Member.Role.OWNER, user__in=owners).values("account")
    card = Customer.objects.filter(account=account).exclude(card_fingerprint="").values("card_fingerprint")
    same_card = Customer.objects.filter(card_fingerprint__in=card).values("account")
    trials = Subscription.objects.exclude(trial_end=None).filter(
        Q(account=OuterRef("pk")) | Q(account__in=theirs) | Q(account__in=same_card)
    )
    allowed = TrialAllowance.objects.filter(account=OuterRef(OuterRef("pk")), used_at=None)
    return Exists(trials.filter(~Exists(allowed)))


def had_trial(account: Account) -> bool:
    """Whether there is a trial that keeps this account from another. One query."""
    rows = Account.objects.filter(have_had_trial(), pk=account.pk)
    return shared(account, "had_trial", rows.exists)


def use_allowance(account: Account, *, at: dt.datetime) -> None:
    """The trial that support allowed has begun."""
    TrialAllowance.objects.filter(account=account, used_at=None).update(used_at=at)
