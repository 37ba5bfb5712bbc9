"""The account's API keys: made, shown once, revoked."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import clock
from accounts.errors import NotAllowed, TooMany, WrongState
from accounts.events import By
from accounts.forms import ApiKeyForm
from accounts.keys import make_key, revoke_key
from accounts.scope import AccountRequest, account_page, reauthenticated


@require_safe
@account_page("owner")
def keys(request: AccountRequest) -> HttpResponse:
    """Every live key: what it is for, how it begins, who made it, when it was last used."""
    return _keys(request, ApiKeyForm())


def _keys(request: AccountRequest, form: ApiKeyForm, status: int = 200) -> HttpResponse:
    live = request.account.api_keys.live().select_related("created_by").order_by("-created_at", "-pk")
    context = {"tab": "settings", "account": request.account, "keys": live, "form": form}
    return render(request, "accounts/keys.html", context, status=status)


@require_POST
@never_cache
@account_page("owner")
@reauthenticated
def key_new(request: AccountRequest) -> HttpResponse:
    """Make one and show its secret, on this answer only."""
    form = ApiKeyForm(request.POST)
    if not form.is_valid():
        return _keys(request, form, status=422)
    try:
        key, secret = make_key(
            request.account, form.cleaned_data["name"], by_user=request.user, at=clock.now()
        )
    except (NotAllowed, TooMany) as refusal:
        messages.error(request, str(refusal))
        return redirect("keys", request.account.public_id)
    header = f"Authorization: Bearer {key.prefix}_…"
    context = {"tab": "settings", "account": request.account, "key": key, "secret": secret, "header": header}
    return render(request, "accounts/key_made.html", context)


@require_POST
@account_page("owner")
@reauthenticated
def key_revoke(request: AccountRequest, number: int) -> HttpResponse:
    """Whatever uses it is kept out from now on."""
    key = get_object_or_404(request.account.api_keys.select_related("account"), pk=number)
    try:
        revoke_key(key, by=By.customer(request.user), at=clock.now())
    except WrongState as refusal:
        messages.warning(request, str(refusal))
    else:
        messages.success(request, _("The key %(key)s opens nothing any more.") % {"key": key})
    return redirect("keys", request.account.public_id)
