"""Pages of leaving that need no sign-in: the receipt and the undo link."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import clock
from accounts.errors import WrongState
from accounts.events import By
from accounts.models import Event
from accounts.views import form_page
from offboarding import receipts, wording
from offboarding.dates import renews_otherwise
from offboarding.standing import read_standing
from offboarding.views import about_cancellation
from offboarding.withdrawals import withdraw_cancellation


@require_safe
def receipt(request: HttpRequest, token: str) -> HttpResponse:
    """The leaving receipt: for whoever has its address, printable, never stored by others."""
    cancellation = receipts.find_by_receipt(token)
    if cancellation is None:
        raise Http404
    at = clock.now()
    timezone.activate(cancellation.declared_zone)
    context = about_cancellation(cancellation, standing=read_standing(cancellation, at=at)) | {
        "at": at,
        "is_public": True,
    }
    return _private(render(request, "leaving/receipt.html", context))


@form_page
def undo(request: HttpRequest, token: str) -> HttpResponse:
    """The undo link of the mails: shows what it would do, does it by POST."""
    cancellation = receipts.find_by_undo(token)
    if cancellation is None:
        raise Http404
    at = clock.now()
    timezone.activate(cancellation.declared_zone)
    done = False
    if request.method == "POST":
        try:
            cancellation = withdraw_cancellation(cancellation, by=By(Event.Actor.CUSTOMER), at=at)
            done = True
        except WrongState:
            pass
    context = {
        "cancellation": cancellation,
        "quote": cancellation.quote,
        "standing": read_standing(cancellation, at=at),
        "done": done,
        "renews": renews_otherwise(cancellation.quote),
        "of_itself": wording.of_itself(cancellation.via),
        "keeping": wording.keeping(cancellation),
        "receipt": receipts.receipt_path(cancellation),
    }
    return _private(render(request, "leaving/undo.html", context))


def _private(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    # Nobody else learns the address; with "no-referrer" a browser would not say either that the form is ours.
    response["Referrer-Policy"] = "same-origin"
    response["X-Robots-Tag"] = "noindex"
    return response
