"""The mirror in the admin site: what the provider was last seen to have, in place of dj-stripe's pages."""

import json
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from accounts.admin.base import ReadOnlyAdmin

#: What a list of each shows between the number and the date.
MIRRORED: dict[str, tuple[str, ...]] = {
    "Customer": ("address",),
    "Subscription": ("whose",),
    "Invoice": ("whose",),
    "Charge": ("whose",),
    "Refund": (),
    "Dispute": (),
    "Product": ("called",),
    "Price": (),
}


class MirrorAdmin(ReadOnlyAdmin[Any]):
    """The provider's object as it was last seen. It decides nothing and nobody changes it here."""

    search_fields = ("id__exact",)
    search_help_text = _("Number at Stripe")
    show_facets = admin.ShowFacets.NEVER

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return [*self.list_display, "is_live", "as_sent"]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.get_fields(request, obj)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Named by its number: what dj-stripe calls an invoice shows cents as whole euros."""
        row = self.get_object(request, object_id)
        number = str(row.id) if row is not None else ""
        names = {"original": number, "subtitle": number}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **names})

    @admin.display(description=_("number at Stripe"), ordering="id")
    def number(self, row: Any) -> str:
        return str(row.id)

    @admin.display(description=_("e-mail address"), empty_value="–")
    def address(self, row: Any) -> str:
        return str(row.email or "")

    @admin.display(description=_("customer"), empty_value="–")
    def whose(self, row: Any) -> str:
        return str(row.customer or "")

    @admin.display(description=_("name"), empty_value="–")
    def called(self, row: Any) -> str:
        return str(row.name or "")

    @admin.display(description=_("made at Stripe"), ordering="created")
    def made_at(self, row: Any) -> str:
        return date_format(timezone.localtime(row.created), "DATETIME_FORMAT")

    @admin.display(description=_("with real money"), boolean=True)
    def is_live(self, row: Any) -> bool:
        return bool(row.livemode)

    @admin.display(description=_("as Stripe sent it"))
    def as_sent(self, row: Any) -> str:
        text = json.dumps(row.stripe_data, indent=2, ensure_ascii=False, default=str)
        return format_html('<pre class="desk-json" tabindex="0">{}</pre>', text)


def look_at_the_mirror() -> None:
    """In place of dj-stripe's own pages, which show keys and call the provider: read-only ones."""
    for model in list(admin.site._registry):
        if model._meta.app_label == "djstripe":
            admin.site.unregister(model)
    for name, columns in MIRRORED.items():
        shown = {
            "list_display": ("number", *columns, "made_at"),
            "list_select_related": ("customer",) if "whose" in columns else False,
        }
        admin.site.register(
            apps.get_model("djstripe", name), type(f"{name}MirrorAdmin", (MirrorAdmin,), shown)
        )


look_at_the_mirror()
