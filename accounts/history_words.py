"""What this app records, in words."""

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from accounts.history import Facts, choice, country, day, number, phrase, register
from accounts.kinds import title_of
from accounts.models import Hold, Member
from accounts.suppression import LiftReason

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

COLUMNS = {"name": _("name"), "time_zone": _("time zone"), "language": _("language")}


def _columns(facts: Facts) -> str:
    return ", ".join(str(COLUMNS.get(name, _("something else"))) for name in facts.get("columns", []))


def _prefix(facts: Facts) -> str:
    return f"{facts.get('prefix') or ''}…"


def _mail(facts: Facts) -> str:
    code = facts.get("mail")
    return title_of(str(code)) if code else str(_("something else"))


def _grace(facts: Facts) -> "StrOrPromise":
    if facts.get("reason") == "trial_over":
        return _("The trial is over and no plan is chosen; access stays on for some days.")
    return _("Something is to be settled; access stays on for now.")


def _hold_over(facts: Facts) -> "StrOrPromise":
    return _("The hold is over: %(reason)s.") if facts.get("reason") else _("The hold is over.")


def register_words() -> None:
    """Called from `AppConfig.ready`."""
    role, before, after = (choice(fact, Member.Role) for fact in ("role", "before", "after"))
    register(
        "account.opened",
        _("The account was opened for %(customer)s in %(country)s."),
        customer=phrase("customer", {"business": _("a business"), "consumer": _("a private person")}),
        country=country("country"),
    )
    register("account.trialing", _("The trial runs."))
    register("account.active", _("The account is active."))
    register("account.grace", _grace)
    register("account.frozen", _("Access was turned off."))
    register("account.closed", _("The account was closed."))
    register("account.erased", _("The account was erased."))
    register(
        "account.country_changed",
        _("The country was changed from %(before)s to %(after)s."),
        before=country("before"),
        after=country("after"),
    )
    register("account.settings_changed", _("The settings were changed: %(columns)s."), columns=_columns)
    register("terms.accepted", _("Version %(version)s of the terms was accepted."), version=number("version"))
    reason = choice("reason", Hold.Reason)
    register(
        "hold.placed", _("Everything is held until %(until)s: %(reason)s."), until=day("until"), reason=reason
    )
    register("hold.ended", _hold_over, reason=choice("reason", Hold.Ended))
    register("member.invited", _("Someone was invited as %(role)s."), role=role)
    register("member.invitation_withdrawn", _("An invitation was withdrawn."))
    register("member.joined", _("%(person)s joined the team as %(role)s."), role=role)
    register(
        "member.role_changed",
        _("%(person)s was %(before)s and is now %(after)s."),
        before=before,
        after=after,
    )
    register("member.removed", _("%(person)s was removed from the team."))
    register("member.left", _("%(person)s left the team."))
    register(
        "mail.suppression_lifted",
        _("Mail goes to the address of %(person)s again: %(why)s."),
        why=choice("why", LiftReason),
    )
    register("key.made", _("An API key was made: %(key)s."), key=_prefix)
    register("key.revoked", _("The API key %(key)s was revoked."), key=_prefix)
    register(
        "mail.previewed",
        _("The mail “%(mail)s” was looked at; it was not sent."),
        mail=_mail,
    )
    register(
        "mail.seen_to",
        _("The mail “%(mail)s” could not be sent; a person saw to it."),
        mail=_mail,
    )
