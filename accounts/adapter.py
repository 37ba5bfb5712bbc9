"""What allauth asks us."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest
from django.urls import reverse

from accounts import clock
from accounts.models import Terms


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """allauth with our rules."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody can accept terms that do not exist: without any in force there is no sign-up."""
        return Terms.objects.published().filter(in_force_from__lte=clock.now()).exists()

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """To the accounts; who followed an invitation finds it there."""
        return reverse("account_list")

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        return reverse("account_list")
