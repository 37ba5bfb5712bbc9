"""Who belongs to an account: invited, joined, changed, gone."""

import datetime as dt
from typing import Final

from allauth.account.models import EmailAddress
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.errors import NotAllowed, TooMany, WrongState
from accounts.events import By, record
from accounts.models import Account, Invitation, Member, User
from accounts.models.account import InvitationQuerySet
from accounts.notices import drop_notices, owe

#: An invitation can be used for so long.
INVITATION_LIFE: Final = dt.timedelta(days=14)
#: An account can send so many in 24 hours: enough for a team, too few to bother strangers with.
INVITATIONS_A_DAY: Final = 20


def _lock(account: Account) -> None:
    """Changes of a team happen one after another, so that two owners cannot remove each other at once."""
    Account.objects.select_for_update().filter(pk=account.pk).first()


def _ask_owner(account: Account, user: User) -> None:
    if not account.members.owners().filter(user=user).exists():
        raise NotAllowed(_("Only owners can change who belongs to the team."))


def is_last_owner(member: Member) -> bool:
    """Whether the account would have no owner without this member."""
    return member.is_owner and not member.account.members.owners().exclude(pk=member.pk).exists()


@transaction.atomic
def invite_member(account: Account, email: str, role: str, *, by_user: User, at: dt.datetime) -> Invitation:
    """Offer a seat to an address for 14 days; an open invitation to it is replaced.

    Raises `WrongState` for someone who is in the team already, `TooMany` past the day's limit.
    """
    _lock(account)
    _ask_owner(account, by_user)
    email = email.strip().lower()
    if account.members.current().filter(user__email__iexact=email).exists():
        raise WrongState(_("This person is in the team already."))
    recent = account.invitations.filter(created_at__gt=at - dt.timedelta(days=1))
    if recent.count() >= INVITATIONS_A_DAY:
        raise TooMany(
            _("You can invite %(count)d people a day. Please go on tomorrow.") % {"count": INVITATIONS_A_DAY}
        )
    for old in account.invitations.filter(email=email, accepted_at=None, withdrawn_at=None):
        _withdraw(old, at=at)
    invitation = Invitation.objects.create(
        account=account,
        email=email,
        role=role,
        invited_by=by_user,
        created_at=at,
        expires_at=at + INVITATION_LIFE,
    )
    record(
        account, "member.invited", by=By.customer(by_user), at=at, role=role, invitation=str(invitation.pk)
    )
    _owe_invitation(invitation, at=at)
    return invitation


def _owe_invitation(invitation: Invitation, *, at: dt.datetime) -> None:
    """The mail goes to the address that was invited, whatever address the person has by then."""
    owe(
        invitation.account,
        "invitation",
        address=invitation.email,
        period=f"invitation:{invitation.pk}",
        at=at,
        subject=str(invitation.pk),
    )


def _withdraw(invitation: Invitation, *, at: dt.datetime) -> bool:
    rows = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, withdrawn_at=None)
    if not rows.update(withdrawn_at=at):
        return False
    period = f"invitation:{invitation.pk}"
    drop_notices(invitation.account, kinds=["invitation"], reason="withdrawn", period=period)
    return True


@transaction.atomic
def withdraw_invitation(invitation: Invitation, *, by_user: User, at: dt.datetime) -> None:
    """Take an offered seat back; its link stops working. Raises `WrongState` once it was used."""
    _ask_owner(invitation.account, by_user)
    if not _withdraw(invitation, at=at):
        raise WrongState(_("This invitation was used or withdrawn already."))
    record(
        invitation.account,
        "member.invitation_withdrawn",
        by=By.customer(by_user),
        at=at,
        invitation=str(invitation.pk),
    )


def can_accept(invitation: Invitation, user: User) -> bool:
    """Whether this person has proved that the invited address is theirs."""
    theirs = EmailAddress.objects.filter(user=user, email__iexact=invitation.email, verified=True)
    return bool(theirs.exists())


def invitations_for(user: User, *, at: dt.datetime) -> InvitationQuerySet:
    """The open invitations to addresses that this person has proved to be theirs (kept in lower case)."""
    addresses = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    return (
        Invitation.objects.open_at(at)
        .filter(email__in=[address.lower() for address in addresses])
        .select_related("account", "invited_by")
    )


@transaction.atomic
def accept_invitation(invitation: Invitation, *, user: User, at: dt.datetime) -> Member:
    """Join the account in the offered role; the owners are told.

    Only whoever proved that the invited address is theirs can; once; while it is open.
    """
    if not can_accept(invitation, user):
        raise NotAllowed(_("This invitation is for another e-mail address."))
    account = invitation.account
    _lock(account)
    seat = account.members.current().filter(user=user).first()
    if not Invitation.objects.open_at(at).filter(pk=invitation.pk).update(accepted_at=at):
        raise WrongState(_("This invitation was used, withdrawn, or is too old. Ask for a new one."))
    if seat is not None:
        return seat
    member = Member.objects.create(account=account, user=user, role=invitation.role, joined_at=at)
    record(
        account, "member.joined", by=By.customer(user), at=at, subject=user.public_id, role=invitation.role
    )
    owners = User.objects.filter(memberships__in=account.members.owners()).exclude(pk=user.pk)
    owe(
        account,
        "member_joined",
        to=owners,
        period=f"member:{member.pk}",
        at=at,
        subject=str(member.pk),
    )
    return member


@transaction.atomic
def change_role(member: Member, role: str, *, by_user: User, at: dt.datetime) -> None:
    """Give a member another role; the last owner keeps theirs. No change records nothing."""
    account = member.account
    _lock(account)
    _ask_owner(account, by_user)
    seen = account.members.current().filter(pk=member.pk).first()
    if seen is None:
        raise WrongState(_("This person has left the team already."))
    if seen.role == role:
        return
    if is_last_owner(seen):
        raise NotAllowed(_("The last owner stays owner. Make someone else an owner first."))
    account.members.current().filter(pk=seen.pk, role=seen.role).update(role=role)
    member.role = role
    record(
        account,
        "member.role_changed",
        by=By.customer(by_user),
        at=at,
        subject=seen.user.public_id,
        before=seen.role,
        after=role,
    )


@transaction.atomic
def remove_member(member: Member, *, by_user: User, at: dt.datetime) -> None:
    """End someone's access to this account; their sign-in and their other accounts stay."""
    account = member.account
    _lock(account)
    _ask_owner(account, by_user)
    if member.user_id == by_user.pk:
        raise NotAllowed(_("To go yourself, leave the team."))
    _end_seat(member, at=at)
    record(
        account,
        "member.removed",
        by=By.customer(by_user),
        at=at,
        subject=member.user.public_id,
    )
    owe(account, "removed", to=[member.user], period=f"member:{member.pk}", at=at)


@transaction.atomic
def leave_team(member: Member, *, at: dt.datetime) -> None:
    """Go by one's own wish. The last owner cannot: someone must be left who may pay and delete."""
    account = member.account
    _lock(account)
    if is_last_owner(member):
        raise NotAllowed(_("You are the last owner. Make someone else an owner first, or close the account."))
    _end_seat(member, at=at)
    record(account, "member.left", by=By.customer(member.user), at=at, subject=member.user.public_id)


def _end_seat(member: Member, *, at: dt.datetime) -> None:
    if not Member.objects.current().filter(pk=member.pk).update(left_at=at):
        raise WrongState(_("This person has left the team already."))
    member.left_at = at
