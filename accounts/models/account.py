"""The account (a company), who belongs to it, and the links that lead to it."""

import datetime as dt
import zoneinfo
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts import copies
from accounts.ids import new_id

if TYPE_CHECKING:
    from accounts.models.user import User


def validate_time_zone(name: str) -> None:
    """Refuse a zone that the time zone database does not know."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError(
            _("“%(name)s” is no time zone we know. Choose one such as Europe/Madrid."), params={"name": name}
        )


class AccountQuerySet(models.QuerySet["Account"]):
    """Questions about accounts."""

    def update(self, **columns: Any) -> int:
        """Also ends this process's copies of who may get in, where access is written."""
        if "state" in columns or "access_ends_at" in columns:
            copies.forget()
        return super().update(**columns)

    def of(self, user: "User") -> "AccountQuerySet":
        """Accounts this person belongs to today: the only way a view reaches an account."""
        return self.filter(members__user=user, members__left_at=None).exclude(state=Account.State.ERASED)

    def with_access_past(self, at: dt.datetime) -> "AccountQuerySet":
        """Still open although their last day of access has passed."""
        return self.filter(state__in=Account.OPEN_STATES, access_ends_at__lte=at)


class Account(models.Model):
    """A company that has a trial, a plan, or had one; everything the product does is scoped to it."""

    class Kind(models.TextChoices):
        CONSUMER = "consumer", _("private person")
        BUSINESS = "business", _("business")

    class State(models.TextChoices):
        TRIALING = "trialing", _("trial")
        ACTIVE = "active", _("active")
        GRACE = "grace", _("in grace")
        FROZEN = "frozen", _("frozen")
        CLOSED = "closed", _("closed")
        ERASED = "erased", _("erased")

    #: Which state may follow which; `accounts.states.move_account` is the only writer.
    MOVES: ClassVar[dict[str, frozenset[str]]] = {
        "trialing": frozenset({"active", "grace", "frozen", "closed"}),
        "active": frozenset({"trialing", "grace", "frozen", "closed"}),
        "grace": frozenset({"trialing", "active", "frozen", "closed"}),
        "frozen": frozenset({"trialing", "active", "grace", "closed"}),
        "closed": frozenset({"trialing", "active", "erased"}),
        "erased": frozenset(),
    }
    OPEN_STATES: ClassVar[tuple[str, ...]] = ("trialing", "active", "grace")

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    name = models.CharField(_("company name"), max_length=200)
    country = models.CharField(_("country"), max_length=2)
    time_zone = models.CharField(
        _("time zone"), max_length=64, default="UTC", validators=[validate_time_zone]
    )
    language = models.CharField(_("language"), max_length=5, choices=settings.LANGUAGES, default="en")
    currency = models.CharField(_("currency"), max_length=3, default="EUR")
    kind = models.CharField(_("kind"), max_length=10, choices=Kind, default=Kind.BUSINESS)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.ACTIVE)
    access_ends_at = models.DateTimeField(_("access ends"), null=True, blank=True)
    terms = models.ForeignKey(
        "accounts.Terms", models.PROTECT, related_name="accounts", verbose_name=_("terms")
    )
    event_count = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(_("since"))
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)

    objects = AccountQuerySet.as_manager()

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        indexes = [
            models.Index(fields=["name"], name="account_name"),
            models.Index(
                fields=["access_ends_at"],
                name="account_access_due",
                condition=Q(state__in=("trialing", "active", "grace"), access_ends_at__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="account_state_known",
                condition=Q(state__in=["trialing", "active", "grace", "frozen", "closed", "erased"]),
            ),
            models.CheckConstraint(
                name="account_closed_has_date",
                condition=~Q(state__in=["closed", "erased"]) | Q(closed_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The zone in which this account's days begin and end."""
        return zoneinfo.ZoneInfo(self.time_zone)


class MemberQuerySet(models.QuerySet["Member"]):
    """Questions about who belongs to an account."""

    def update(self, **columns: Any) -> int:
        """Also ends this process's copies of who may get in: someone left, or has another role."""
        copies.forget()
        return super().update(**columns)

    def of(self, user: "User") -> "MemberQuerySet":
        """This person's present seats in accounts that still exist, each with its account and terms."""
        return (
            self.current()
            .filter(user=user)
            .exclude(account__state=Account.State.ERASED)
            .select_related("account__terms")
        )

    def current(self) -> "MemberQuerySet":
        """Those who have not left."""
        return self.filter(left_at=None)

    def payers(self) -> "MemberQuerySet":
        """Those who may pay and leave, and who get the account's mail: owners and billing members."""
        return self.current().filter(role__in=(Member.Role.OWNER, Member.Role.BILLING))

    def owners(self) -> "MemberQuerySet":
        """Those who may do everything, deletion included."""
        return self.current().filter(role=Member.Role.OWNER)


class Member(models.Model):
    """A person in an account, with one role."""

    class Role(models.TextChoices):
        OWNER = "owner", _("owner")
        BILLING = "billing", _("billing")
        MEMBER = "member", _("member")

    account = models.ForeignKey(Account, models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(_("role"), max_length=10, choices=Role, default=Role.MEMBER)
    joined_at = models.DateTimeField(_("joined"))
    left_at = models.DateTimeField(_("left"), null=True, blank=True)

    objects = MemberQuerySet.as_manager()

    class Meta:
        verbose_name = _("member")
        verbose_name_plural = _("members")
        constraints = [
            models.UniqueConstraint(
                fields=["account", "user"], name="member_once", condition=Q(left_at=None)
            ),
            models.CheckConstraint(
                name="member_role_known", condition=Q(role__in=["owner", "billing", "member"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()})"

    @property
    def may_pay(self) -> bool:
        """Owners and billing members pay, change the card and leave."""
        return self.role in (Member.Role.OWNER, Member.Role.BILLING)

    @property
    def is_owner(self) -> bool:
        """Only owners delete, invite and change roles."""
        return self.role == Member.Role.OWNER


class InvitationQuerySet(models.QuerySet["Invitation"]):
    """Questions about open seats."""

    def open_at(self, at: dt.datetime) -> "InvitationQuerySet":
        """Neither used nor withdrawn nor expired, and not in an account that was left.

        A frozen account can still be joined: whoever pays for it may be on the way.
        """
        left = (Account.State.CLOSED, Account.State.ERASED)
        return self.filter(accepted_at=None, withdrawn_at=None, expires_at__gt=at).exclude(
            account__state__in=left
        )


class Invitation(models.Model):
    """An open seat for an address; it is used once, by whoever proves that the address is theirs."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="invitations")
    email = models.EmailField(_("e-mail address"))
    role = models.CharField(_("role"), max_length=10, choices=Member.Role, default=Member.Role.MEMBER)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints = [
            models.UniqueConstraint(
                fields=["account", "email"],
                name="invitation_open_once",
                condition=Q(accepted_at=None, withdrawn_at=None),
            ),
        ]

    def __str__(self) -> str:
        return self.email


class Link(models.Model):
    """An opaque link in a mail or on a page: only the hash of its secret is stored."""

    class Purpose(models.TextChoices):
        RECEIPT = "receipt", _("leaving receipt")
        UNDO = "undo", _("undo")
        INVITATION = "invitation", _("invitation")
        MORE_TIME = "more_time", _("more time for a trial")
        PAY = "pay", _("paying an invoice")

    purpose = models.CharField(max_length=12, choices=Purpose)
    account = models.ForeignKey(Account, models.CASCADE, related_name="links", db_index=False)
    subject = models.CharField(max_length=60)
    token_hash = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("link")
        verbose_name_plural = _("links")
        indexes = [models.Index(fields=["account", "purpose", "subject"], name="link_subject")]

    def __str__(self) -> str:
        return f"{self.purpose} {self.subject}"
