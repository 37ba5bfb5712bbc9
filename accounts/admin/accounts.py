"""Support's page of an account: everything about it on one page, nothing on it to edit."""

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import clock, desk
from accounts.admin.base import Act, ActsAdmin, ReadOnlyAdmin
from accounts.admin.mails import MailPages
from accounts.history import in_words, names_in, with_names
from accounts.models import Account, Event


@admin.register(Account)
class AccountAdmin(MailPages, ActsAdmin[Account]):
    """Found by name, address, number of any kind; opened on one page.

    What may be done to an account is added by whoever knows how: `AccountAdmin.add_act`.
    """

    acts: ClassVar[list[Act[Account]]] = []

    list_display = ("name", "state", "access_ends_at", "country", "created_at")
    list_filter = ("state", "kind")
    search_fields = ("name",)
    search_help_text = _("Company, e-mail address, receipt number, our number, or any number of Stripe")

    @classmethod
    def add_act(cls, act: Act[Account]) -> None:
        """Add a button to the account's page; called when the admin site is put together."""
        cls.acts.append(act)

    def get_urls(self) -> list[URLPattern]:
        return [*self.mail_urls(), *super().get_urls()]

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Account]", search_term: str
    ) -> "tuple[QuerySet[Account], bool]":
        """Each kind of number where it is unique; only words go through the names."""
        if not search_term.strip():
            return queryset, False
        found = Account.objects.filter(desk.search_condition(search_term)).values("pk")
        return queryset.filter(pk__in=found), False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The account's page. GET only: whatever is done is done elsewhere."""
        if not self.has_view_permission(request) or request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        account = desk.read_account(object_id, clock.now())
        if account is None:
            raise Http404
        return self._page(request, account)

    def _page(self, request: HttpRequest, account: Account) -> TemplateResponse:
        at = clock.now()
        timezone.activate(account.zone)
        with desk.read_once_with_answers(account):
            parts = desk.read_sections(account, at)
            acts = self.possible(request, account)
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            **desk.heading(account, at),
            "title": account.name,
            "opts": self.opts,
            "account": account,
            "original": account,  # named in the breadcrumb
            "acts": acts,
            "at": at,
            "main": [{"section": s, "context": c} for s, c in parts if not s.is_aside],
            "aside": [{"section": s, "context": c} for s, c in parts if s.is_aside],
        }
        return TemplateResponse(request, "admin/desk/account.html", context)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin[Event]):
    """The history as it is stored; in words it is on the account's page."""

    list_display = ("at", "account_ref", "what", "actor", "kind")
    fields = ("at", "account_ref", "seq", "what", "actor", "actor_ref", "kind", "subject", "facts")
    list_filter = ("actor",)
    search_fields = ("account_ref__exact", "subject__exact")
    search_help_text = _("Our number of an account, or of what happened to")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Event]":
        return with_names(super().get_queryset(request))

    @admin.display(description=_("what happened"))
    def what(self, event: Event) -> str:
        return in_words(event, names_in(event))
