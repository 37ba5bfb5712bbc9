"""The terms: a draft is edited here and published by a verb; what is published is only read."""

import datetime as dt
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import JSONField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import clock
from accounts.admin.base import Act, ActsAdmin
from accounts.events import By
from accounts.models import Terms
from accounts.terms import new_draft, publish_terms, rule_columns


def _publish(terms: Terms, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    publish_terms(terms, by=by, at=at)


@admin.register(Terms)
class TermsAdmin(ActsAdmin[Terms]):
    """For superusers."""

    list_display = ("version", "in_force_from", "published_at")
    ordering = ("-version",)
    change_list_template = "admin/desk/terms.html"
    #: A list of days is one line, not a page of text.
    formfield_overrides: ClassVar[dict[type, dict[str, Any]]] = {
        JSONField: {"widget": UnfoldAdminTextInputWidget}
    }
    acts: ClassVar[tuple[Act[Terms], ...]] = (
        Act(
            code="publish",
            title=gettext_lazy("Publish"),
            text=gettext_lazy(
                "From its date on new customers accept this version. Accounts keep the version "
                "they accepted. It cannot be changed afterwards."
            ),
            button=gettext_lazy("Publish this version"),
            permission="accounts.change_terms",
            can=lambda terms, at: terms.published_at is None,
            do=_publish,
            done=gettext_lazy("The version is published."),
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.draft_view)
        return [path("draft/", view, name="accounts_terms_draft"), *super().get_urls()]

    def draft_view(self, request: HttpRequest) -> HttpResponse:
        """A new draft, copied from the newest version; of a new installation the first, with our defaults."""
        if request.method == "POST" and request.user.has_perm("accounts.change_terms"):
            newest, now = Terms.objects.published().order_by("-version").first(), clock.now()
            starts = now + dt.timedelta(days=30) if newest else now
            draft = new_draft(newest or Terms(), in_force_from=starts)
            messages.success(request, _("A draft was made. It comes into force when you publish it."))
            return redirect(reverse("admin:accounts_terms_change", args=[draft.pk]))
        return redirect("admin:accounts_terms_changelist")

    def has_change_permission(self, request: HttpRequest, obj: Terms | None = None) -> bool:
        """Drafts only: the database refuses to change what is published."""
        may = request.user.has_perm("accounts.change_terms")
        return may and (obj is None or obj.published_at is None)

    def get_fields(self, request: HttpRequest, obj: Terms | None = None) -> Any:
        return ["version", "in_force_from", "published_at", *rule_columns()]

    def get_readonly_fields(self, request: HttpRequest, obj: Terms | None = None) -> list[str]:
        return ["version", "published_at"]
