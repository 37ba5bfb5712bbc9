"""People who sign in. Roles are given here; what a role may do is written in the program."""

from typing import Any

from allauth.account.models import EmailAddress
from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin.base import DeskAdmin
from accounts.models import User


class UserForm(forms.ModelForm[User]):
    """Address, name, language, roles. No password: people set their own, or use a mailed code."""

    class Meta:
        model = User
        fields = ("email", "name", "language", "is_active", "is_staff", "groups", "is_superuser")
        widgets = {"groups": forms.CheckboxSelectMultiple}

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).strip().lower()


@admin.register(User)
class UserAdmin(DeskAdmin[User]):
    """For superusers: who is staff, and in which role."""

    form = UserForm
    list_display = ("email", "name", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_staff", "is_active", "groups")
    search_fields = ("email__istartswith", "public_id__exact")
    fieldsets = (
        (None, {"fields": ("email", "name", "language", "is_active")}),
        (
            _("Staff"),
            {
                "fields": ("is_staff", "groups", "is_superuser"),
                "description": _(
                    "Staff open this site; the role says what they see. Everyone signs in with a code "
                    "that is mailed to them, or with a password that they set themselves."
                ),
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """An address is changed by the person alone, who proves that it is theirs."""
        return ("email",) if obj else ()

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if not change:
            obj.set_unusable_password()
        super().save_model(request, obj, form, change)
        if not change:
            # The first mailed code proves the address.
            EmailAddress.objects.create(user=obj, email=obj.email, primary=True, verified=False)


def hide_what_others_registered() -> None:
    """Roles, addresses, keys and sessions are edited by their owners or by nobody."""
    for model in list(admin.site._registry):
        if model._meta.app_label in ("auth", "account", "mfa", "usersessions"):
            admin.site.unregister(model)


hide_what_others_registered()
