"""Mail in the admin site: what could not be sent, how each mail reads, and the laws that ask for them."""

from dataclasses import dataclass
from typing import Any, ClassVar, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import clock
from accounts.admin.base import Act, ActsAdmin, is_own, require_fresh
from accounts.errors import WrongState
from accounts.events import By
from accounts.kinds import title_of
from accounts.law import NOTICE_RULES, TAX_RETENTION
from accounts.models import Account, Notice, User
from accounts.notice_words import reason_words
from accounts.notices import see_to_notice
from accounts.previews import LANGUAGES, preview_mail, readable_kinds
from accounts.sharing import read_once
from accounts.suppression import LiftReason, lift_suppression, suppressions

#: Who may let mail go to an address again, and who may say that a mail was seen to.
MAY_LIFT = "accounts.delete_suppression"
MAY_SEE_TO = "accounts.change_notice"


def _see_to(notice: Notice, by: By, at: Any, answers: dict[str, Any]) -> None:
    see_to_notice(notice, by=by, at=at)


@admin.register(Notice)
class NoticeAdmin(ActsAdmin[Notice]):
    """Every mail we owe, owed or sent."""

    list_display = ("title", "account", "user", "state", "window_from", "sent_at", "outcome")
    list_filter = ("status", "outcome", ("handled_at", admin.EmptyFieldListFilter))
    list_select_related = ("account", "user")
    search_fields = ("message_id", "account__public_id__exact", "user__email__exact")
    search_help_text = gettext_lazy("E-mail address, our number of an account, or number of a message")
    fields = (
        "title",
        "account",
        "user",
        "address",
        "status",
        "why",
        "window_from",
        "window_to",
        "sent_at",
        "outcome",
        "outcome_at",
        "attempts",
        "unanswered",
        "handled_at",
        "message_id",
        "kind",
        "created_at",
    )
    acts: ClassVar[tuple[Act[Notice], ...]] = (
        Act(
            code="seen-to",
            title=gettext_lazy("Seen to"),
            text=gettext_lazy(
                "This mail could not be sent. Say that you have seen to it: the customer was told in another "
                "way, or need not be told any more. It leaves the list of what waits for a person."
            ),
            button=gettext_lazy("I have seen to it"),
            permission=MAY_SEE_TO,
            can=lambda notice, at: notice.status == Notice.Status.FAILED and notice.handled_at is None,
            do=_see_to,
            done=gettext_lazy("It does not wait for a person any more."),
            undo=gettext_lazy("It stays in the list of mails, with the day on which you said so."),
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [path("law/", wrap(self.law_view), name="law"), *super().get_urls()]

    @admin.display(description=gettext_lazy("reason"), ordering="reason")
    def why(self, notice: Notice) -> str:
        return reason_words(notice.reason)

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def state(self, notice: Notice) -> str:
        """With the reason where there is one: a list has no room for a column that is mostly empty."""
        status, reason = notice.get_status_display(), reason_words(notice.reason)
        return f"{status}: {reason}" if reason else status

    def name_of(self, row: Notice) -> str:
        return f"{row.account} · {title_of(row.kind)}"

    @admin.display(description=gettext_lazy("mail"))
    def title(self, notice: Notice) -> str:
        return title_of(notice.kind)

    def law_view(self, request: HttpRequest) -> HttpResponse:
        """The rules of law that are numbers: where each comes from, and whether anybody checked it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rules = sorted(NOTICE_RULES, key=lambda rule: (rule.event, rule.id))
        books = sorted(TAX_RETENTION.values(), key=lambda rule: rule.country)
        context = {"rules": rules, "books": books, "is_strict": settings.LAW_STRICT}
        return self.page(request, "admin/desk/law.html", _("Rules of law"), opts=None, **context)


class LiftForm(forms.Form):
    """Why mail may go there again."""

    reason = forms.ChoiceField(
        label=gettext_lazy("Why?"), choices=LiftReason.choices, widget=forms.RadioSelect
    )


class PreviewForm(forms.Form):
    """Which mail, in which language."""

    kind = forms.CharField()
    language = forms.ChoiceField(choices=LANGUAGES)


@dataclass(frozen=True)
class Question:
    """What `admin/desk/ask.html` asks."""

    text: str
    button: str
    is_grave: bool = False
    is_rehearsed: bool = False


class MailPages:
    """The pages about one account's mail, below the account's own page."""

    admin_site: Any
    opts: Any

    def mail_urls(self) -> list[URLPattern]:
        """`admin:account_mails` and `admin:account_lift`."""
        wrap = self.admin_site.admin_view
        return [
            path("<int:object_id>/mails/", wrap(self.mails_view), name="account_mails"),
            path("<int:object_id>/mails/<slug:person>/lift/", wrap(self.lift_view), name="account_lift"),
        ]

    def mails_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Every mail that this account gets or could get, and one of them as it would read now."""
        if not request.user.has_perm("accounts.view_notice"):
            raise PermissionDenied
        account, at = get_object_or_404(Account.objects.select_related("terms"), pk=object_id), clock.now()
        timezone.activate(account.zone)
        form = PreviewForm(request.POST if request.method == "POST" else None)
        shown = None
        with read_once(account):
            if request.method == "POST" and form.is_valid():
                wanted = form.cleaned_data
                by = By.staff(cast(User, request.user))
                shown = preview_mail(account, wanted["kind"], language=wanted["language"], by=by, at=at)
            found = readable_kinds(account, at=at)
        context = {"shown": shown, "found": found, "languages": LANGUAGES}
        return self._mail_page(request, "admin/desk/mail_preview.html", _("Mails"), account, **context)

    def lift_view(self, request: HttpRequest, object_id: int, person: str) -> HttpResponse:
        """Ask why mail may go to a member's address again, then let it."""
        account = get_object_or_404(Account, pk=object_id)
        member = account.members.select_related("user").filter(user__public_id=person).first()
        if not request.user.has_perm(MAY_LIFT):
            raise PermissionDenied
        if member is None or not suppressions([member.user.email]):
            raise Http404
        if is_own(request, member):
            raise PermissionDenied(_("This is an account of your own. Please ask a colleague."))
        require_fresh(request)
        form = LiftForm(request.POST if request.method == "POST" else None)
        back = reverse("admin:accounts_account_change", args=[account.pk])
        if request.method == "POST" and form.is_valid():
            by, why = By.staff(cast(User, request.user)), form.cleaned_data["reason"]
            try:
                lift_suppression(account, member.user.email, reason=why, by=by, at=clock.now())
            except WrongState:
                messages.error(request, _("That is not possible any more. Nothing was done."))
            else:
                messages.success(request, _("Mail goes there again."))
            return redirect(back)
        question = Question(
            text=_(
                "Mails to this address bounced, or its owner complained about one. Write to it again only "
                "if that is over. What was not sent meanwhile is not sent later."
            ),
            button=_("Write to it again"),
        )
        context = {"act": question, "row": member.user.email, "form": form, "back": back}
        return self._mail_page(request, "admin/desk/ask.html", question.button, account, **context)

    def _mail_page(
        self, request: HttpRequest, template: str, title: str, account: Account, **context: Any
    ) -> TemplateResponse:
        request.current_app = self.admin_site.name
        common = self.admin_site.each_context(request) | {"title": title, "opts": self.opts}
        here = {"account": account, "trail": self._trail(account, title)}
        return TemplateResponse(request, template, common | context | here)

    def _trail(self, account: Account, title: str) -> list[dict[str, Any]]:
        """What the head of the page names after the app: the list, the account, this page."""
        accounts = reverse("admin:accounts_account_changelist")
        page = reverse("admin:accounts_account_change", args=[account.pk])
        return [
            {},
            {"title": self.opts.verbose_name_plural, "link": accounts},
            {"title": account, "link": page},
            {"title": title},
        ]
