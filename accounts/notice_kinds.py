"""The mails of this app, each with its questions; the apps above register theirs the same way."""

import datetime as dt
from typing import Any

from django.utils.translation import gettext_lazy as _

from accounts.law import withdrawal_days
from accounts.links import make_link
from accounts.models import ApiKey, Invitation, Link, Member, Notice
from accounts.notices import Category, NoticeKind, register
from accounts.problems import page_url


def _welcome(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    acceptance = notice.account.acceptances.select_related("terms").order_by("accepted_at")[:1].get()
    return {
        "acceptance": acceptance,
        "withdrawal_days": withdrawal_days(notice.account.country, notice.account.kind),
        "terms_url": page_url("terms_version", acceptance.terms.version),
        "url": page_url("account_overview", notice.account.public_id),
    }


def _invitation(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    """A new link each time it is written, because only its hash is kept; older ones work as long."""
    invitation = Invitation.objects.select_related("invited_by", "account").get(pk=int(notice.subject))
    token = make_link(
        notice.account,
        Link.Purpose.INVITATION,
        str(invitation.pk),
        at=at,
        expires_at=invitation.expires_at,
    )
    return {"invitation": invitation, "url": page_url("invitation", token)}


def _is_invited(notice: Notice, at: dt.datetime) -> bool:
    return Invitation.objects.open_at(at).filter(pk=int(notice.subject)).exists()


def _member_joined(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    member = Member.objects.select_related("user").get(pk=int(notice.subject))
    return {"member": member, "url": page_url("people", notice.account.public_id)}


def _is_still_member(notice: Notice, at: dt.datetime) -> bool:
    return Member.objects.current().filter(pk=int(notice.subject)).exists()


def _removed(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    return {"url": page_url("account_list")}


def _is_still_removed(notice: Notice, at: dt.datetime) -> bool:
    return notice.user is None or not notice.account.members.current().filter(user=notice.user).exists()


def _key_made(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    key = ApiKey.objects.select_related("created_by").get(pk=int(notice.subject))
    return {"key": key, "url": page_url("keys", notice.account.public_id)}


def _is_live(notice: Notice, at: dt.datetime) -> bool:
    return ApiKey.objects.live().filter(pk=int(notice.subject)).exists()


def register_kinds() -> None:
    """Called from `AppConfig.ready`."""
    register(
        NoticeKind(
            code="welcome",
            title=_("Welcome, with the terms that you accepted"),
            why=_("Because you opened this account."),
            context=_welcome,
            # The terms on a durable medium (Directive 2011/83/EU, art. 8).
            category=Category.LEGAL,
        )
    )
    register(
        NoticeKind(
            code="invitation",
            title=_("Invitation to the team"),
            why=_("Because an owner invited someone."),
            context=_invitation,
            still_true=_is_invited,
        )
    )
    register(
        NoticeKind(
            code="member_joined",
            title=_("Someone joined the team"),
            why=_("Because owners are told who gets in."),
            context=_member_joined,
            still_true=_is_still_member,
        )
    )
    register(
        NoticeKind(
            code="removed",
            title=_("Someone was removed from the team"),
            why=_("Because whoever loses access is told."),
            context=_removed,
            still_true=_is_still_removed,
            to_former_members=True,
        )
    )
    register(
        NoticeKind(
            code="key_made",
            title=_("An API key was made"),
            why=_("Because owners are told what opens the account."),
            context=_key_made,
            still_true=_is_live,
        )
    )
