"""The gate in the admin site: keys, who is told of changes of access, and what they were told."""

import datetime as dt
from typing import Any, ClassVar

from django.contrib import admin
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from accounts import clock
from accounts.admin.base import Act, ActsAdmin, DeskAdmin, require_fresh
from accounts.events import By
from accounts.keys import revoke_key
from accounts.models import ApiKey, WebhookDelivery, WebhookEndpoint
from accounts.webhooks_out import new_secret, rotate_secret, send_again


def _is_live(key: ApiKey, at: dt.datetime) -> bool:
    return key.revoked_at is None


def _revoke(key: ApiKey, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    revoke_key(key, by=by, at=at)


@admin.register(ApiKey)
class ApiKeyAdmin(ActsAdmin[ApiKey]):
    """Which programs act for which account; a key that got about is revoked here."""

    list_display = ("prefix", "account", "name", "created_at", "last_used_on", "revoked_at")
    list_select_related = ("account",)
    search_fields = ("prefix__exact", "account__public_id__exact")
    exclude = ("token_hash",)
    nothing_yet = _("Owners make keys for their account, on a page of their own.")
    acts: ClassVar[tuple[Act[ApiKey], ...]] = (
        Act(
            code="revoke",
            title=_("Revoke"),
            text=_("Whatever uses this key is kept out from that moment on. Tell the owners."),
            button=_("Revoke it"),
            permission="accounts.change_apikey",
            can=_is_live,
            do=_revoke,
            done=_("It opens nothing any more."),
            undo=_("There is no way back: the owners make another key on their page."),
            is_grave=True,
        ),
    )


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(DeskAdmin[WebhookEndpoint]):
    """Who is told of changes of access; the secret is shown once, when it is made."""

    list_display = ("url", "description", "is_active", "created_at")
    fields = ("url", "description", "is_active")
    change_form_outer_before_template = "admin/desk/webhook_secret.html"

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Who types no scheme means https."""
        if db_field.name == "url":
            options["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **options)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.rotate_view)
        name = "accounts_webhookendpoint_rotate"
        return [path("<int:object_id>/secret/", view, name=name), *super().get_urls()]

    def save_model(
        self, request: HttpRequest, obj: WebhookEndpoint, form: "ModelForm[WebhookEndpoint]", change: bool
    ) -> None:
        """A new one gets its secret here; nobody types one."""
        if not change:
            obj.secret, obj.created_at = new_secret(), clock.now()
        super().save_model(request, obj, form, change)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Where our messages go is changed with the sign-in fresh."""
        if request.method == "POST":
            require_fresh(request)
        return super().changeform_view(request, object_id, form_url, extra_context)

    def response_add(
        self, request: HttpRequest, obj: WebhookEndpoint, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._show(request, obj, obj.secret)

    def rotate_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """By POST, with the sign-in fresh: another secret; the former one signs along for a day."""
        endpoint = WebhookEndpoint.objects.filter(pk=object_id).first()
        if endpoint is None or request.method != "POST" or not self.has_change_permission(request, endpoint):
            raise Http404
        require_fresh(request)
        return self._show(request, endpoint, rotate_secret(endpoint, at=clock.now()))

    def _show(self, request: HttpRequest, endpoint: WebhookEndpoint, secret: str) -> HttpResponse:
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "title": _("The secret of this endpoint"),
            "opts": self.opts,
            "endpoint": endpoint,
            "secret": secret,
            "back": reverse("admin:accounts_webhookendpoint_change", args=[endpoint.pk]),
        }
        response = TemplateResponse(request, "admin/desk/secret.html", context)
        response["Cache-Control"] = "no-store"
        return response


def _is_dead(row: WebhookDelivery, at: dt.datetime) -> bool:
    return row.status == WebhookDelivery.Status.DEAD


def _again(row: WebhookDelivery, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    send_again(WebhookDelivery.objects.filter(pk=row.pk), at=at)


def _all_again(row: WebhookDelivery, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    send_again(WebhookDelivery.objects.filter(endpoint=row.endpoint_id), at=at)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ActsAdmin[WebhookDelivery]):
    """What was told to whom. Messages that nobody took wait here for a person."""

    list_display = ("created_at", "kind", "account_ref", "endpoint", "status", "attempts", "error", "done_at")
    list_filter = ("status", "endpoint")
    list_select_related = ("endpoint",)
    search_fields = ("message_id__exact", "account_ref__exact")
    exclude = ("lease_token", "lease_until")
    acts: ClassVar[tuple[Act[WebhookDelivery], ...]] = (
        Act(
            code="again",
            title=_("Send again"),
            text=_("Under the same id, so that a receiver that took it knows it already."),
            button=_("Send again"),
            permission="accounts.change_webhookdelivery",
            can=_is_dead,
            do=_again,
            done=_("It is sent again."),
        ),
        Act(
            code="all-again",
            title=_("Send all of this endpoint again"),
            text=_("Everything that this endpoint did not take, once it works again."),
            button=_("Send them again"),
            permission="accounts.change_webhookdelivery",
            can=_is_dead,
            do=_all_again,
            done=_("They are sent again."),
        ),
    )
