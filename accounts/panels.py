"""What the account's page shows: panels that the apps above register in `AppConfig.ready`."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from accounts.models import Account, Member


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A card on the account's page. `context` returns None where there is nothing to show.

    `when_closed`: it is also shown to those whose access is off (their money, their data, their leaving).
    """

    code: str
    order: int
    template: str
    context: Callable[[Account, Member, dt.datetime], dict[str, Any] | None]
    when_closed: bool = False


_PANELS: dict[str, Panel] = {}


def register(panel: Panel) -> None:
    """Add a card; called from `AppConfig.ready`. Lower `order` comes first."""
    _PANELS[panel.code] = panel


def panels() -> list[Panel]:
    """Every registered panel in its order."""
    return sorted(_PANELS.values(), key=lambda panel: (panel.order, panel.code))


def rendered_panels(
    account: Account, member: Member, *, at: dt.datetime, request: HttpRequest, when_closed: bool = False
) -> list[SafeString]:
    """The cards that have something to show to this member now; each also gets account, member and at."""
    common = {"account": account, "member": member, "at": at}
    chosen = [panel for panel in panels() if panel.when_closed or not when_closed]
    shown = [(panel, panel.context(account, member, at)) for panel in chosen]
    return [
        render_to_string(panel.template, common | context, request=request)
        for panel, context in shown
        if context is not None
    ]
