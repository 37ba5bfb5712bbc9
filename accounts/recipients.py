"""Who of an account is written to."""

from accounts.models import Account, Member, User


def payers(account: Account) -> list[User]:
    """Owners and billing members, the longest-standing first: they get the account's mail."""
    rows = Member.objects.payers().filter(account=account).select_related("user").order_by("pk")
    return [member.user for member in rows]


def teammates(account: Account) -> list[User]:
    """Members who neither pay nor own: they are told what happens to their access and data."""
    rows = Member.objects.current().filter(account=account, role=Member.Role.MEMBER)
    return [member.user for member in rows.select_related("user").order_by("pk")]
