"""What allauth asks us."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import clock
from accounts.models import Terms, User
from accounts.reauthentication import can_confirm_by_code


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """allauth with our rules."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody can accept terms that do not exist: without any in force there is no sign-up."""
        return Terms.objects.published().filter(in_force_from__lte=clock.now()).exists()

    def login(self, request: HttpRequest, user: User) -> None:
        """From here on in the person's own language, the message that says so included."""
        super().login(request, user)
        translation.activate(user.language)

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """To the accounts; who followed an invitation finds it there."""
        return reverse("account_list")

    def get_reauthentication_methods(self, user: User) -> list[dict[str, Any]]:
        """allauth's, and a code by mail: "any way the person signs in"."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if user.is_authenticated and can_confirm_by_code(user):
            words = _("Send me a code by mail")
            methods.append({"id": "mailed_code", "description": words, "url": reverse("confirm_by_code")})
        return methods

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        return reverse("account_list")
