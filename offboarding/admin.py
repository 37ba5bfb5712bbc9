"""Leaving in the admin site: lists to look things up, and the pages of the wizard for a caller."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from accounts.admin.base import DeskAdmin, ReadOnlyAdmin
from accounts.templatetags.terms_format import format_money
from offboarding import staff
from offboarding.models import Cancellation, Closure, Erasure, ExitReason, Export, Reservation


@admin.register(Cancellation)
class CancellationAdmin(ReadOnlyAdmin[Cancellation]):
    """Every declaration. What is done for a caller starts on the account's page."""

    list_display = ("receipt_number", "account", "ending", "status", "via", "declared_at", "effective_at")
    list_filter = ("status", "ending", "via")
    list_select_related = ("account",)
    search_fields = ("receipt_number__exact", "account__public_id__exact")
    exclude = ("receipt_hash", "undo_hash")

    def get_urls(self) -> list[URLPattern]:
        """The wizard's pages: `admin:call_leave` and so on."""
        one, two = "call/<slug:account_id>/", "call/<slug:account_id>/<slug:cancellation_id>/"
        pages: list[tuple[str, str, Any]] = [
            (f"{one}leave/", "call_leave", staff.leave),
            (f"{one}keep-data/", "call_keep_data", staff.keep_data),
            (f"{two}survey/", "call_survey", staff.survey),
            (f"{two}confirm/", "call_confirm", staff.confirm),
            (f"{two}keep/", "call_keep", staff.keep),
            (f"{two}claim/", "call_claim", staff.claim),
        ]
        wrapped = [path(route, self.admin_site.admin_view(view), name=name) for route, name, view in pages]
        return [*wrapped, *super().get_urls()]


@admin.register(ExitReason)
class ExitReasonAdmin(DeskAdmin[ExitReason]):
    """The list that customers choose from. One that was used is hidden, not deleted."""

    list_display = ("label_en", "label_es", "offer", "position", "is_active")
    list_filter = ("is_active",)
    ordering = ("position", "pk")
    prepopulated_fields = {"code": ("label_en",)}

    def get_readonly_fields(self, request: HttpRequest, obj: ExitReason | None = None) -> tuple[str, ...]:
        """Reports and history name a reason by its code, so it stays."""
        return ("code",) if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: ExitReason | None = None) -> Any:
        return {} if obj else self.prepopulated_fields


@admin.register(Closure)
class ClosureAdmin(ReadOnlyAdmin[Closure]):
    """Until when the data of closed accounts is kept."""

    list_display = ("account", "status", "data_until", "purge_on", "stop_until")
    list_filter = ("status",)
    list_select_related = ("account",)


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin[Reservation]):
    """Refunds that free days keep."""

    amounts = ("amount",)
    list_display = ("cancellation", "money", "free_until", "deadline_at", "status")
    list_filter = ("status",)
    list_select_related = ("cancellation",)

    @admin.display(description=_("amount"), ordering="amount")
    def money(self, row: Reservation) -> str:
        return format_money(row.amount, row.currency)


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin[Export]):
    """Downloads of data: that they were made, not what is in them."""

    list_display = ("public_id", "account", "status", "requested_at", "ready_at", "expires_at")
    list_filter = ("status",)
    list_select_related = ("account",)
    fields = (
        "public_id",
        "account",
        "own_only",
        "status",
        "rows_total",
        "requested_at",
        "ready_at",
        "expires_at",
    )


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin[Erasure]):
    """What was erased, when, and what the law keeps."""

    list_display = ("account_ref", "due_on", "started_at", "finished_at", "step")
    exclude = ("lease_token", "lease_until")
    search_fields = ("account_ref__exact",)
