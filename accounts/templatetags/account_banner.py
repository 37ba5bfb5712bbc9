"""The banner on the pages of an account."""

from typing import Any

from django import template

from accounts import clock
from accounts.banners import Banner, banner_of

register = template.Library()


@register.simple_tag(takes_context=True)
def account_banner(context: dict[str, Any]) -> Banner | None:
    """What is about to happen to the account of this page."""
    request = context.get("request")
    account, member = getattr(request, "account", None), getattr(request, "member", None)
    if account is None or member is None:
        return None
    return banner_of(account, member, at=clock.now())
