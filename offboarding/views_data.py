"""The page about an account's data: what is held, downloads, and when it goes."""

from typing import cast

from django.contrib import messages
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import clock
from accounts.errors import NotAllowed, WrongState
from accounts.events import By
from accounts.gate import way_out
from accounts.scope import AccountRequest, account_page, reauthenticated
from offboarding import exports, retention
from offboarding.data_words import data_facts, held_data


@require_safe
@way_out
@account_page()
def data_page(request: AccountRequest) -> HttpResponse:
    """What we hold in words, the downloads and their progress, and when the data goes."""
    at = clock.now()
    rows = exports.exports_of(request.member, at=at)
    until = data_facts(request.account, request.member, at)
    closure = until["closure"]
    context = {
        "tab": "exports",
        "account": request.account,
        "exports": [(row, row.is_fetchable(at)) for row in rows],
        "is_waiting": any(row.is_under_way for row in rows),
        "has_download": any(row.is_fetchable(at) for row in rows),
        "can_fetch": closure is None or retention.can_call_off(closure),
        "can_export_all": exports.can_export_all(request.member),
        "held": held_data(),
        "terms": request.account.terms,
    }
    return render(request, "data/page.html", context | until)


@require_POST
@way_out
@account_page()
@reauthenticated
def export_request(request: AccountRequest) -> HttpResponse:
    """Ask for a download; the worker makes it and a mail says when it is there."""
    own_only = request.POST.get("scope") != "account"
    try:
        exports.request_export(
            request.member, own_only=own_only, by=By.customer(request.user), at=clock.now()
        )
    except NotAllowed:
        messages.error(request, _("Owners and billing members can download the whole account."))
    except WrongState:
        messages.error(request, _("Deleting has begun, so nothing can be downloaded any more."))
    else:
        messages.success(request, _("We are preparing your file. You can leave this page: a mail tells you."))
    return redirect("exports", request.account.public_id)


@require_safe
@way_out
@account_page()
@reauthenticated
@never_cache
def export_download(request: AccountRequest, export_id: str) -> HttpResponse:
    """The file itself, for whom it was made; a page that says so where its days are over."""
    export = exports.find_export(request.member, export_id)
    if export is None or export.is_under_way:
        raise Http404
    path = exports.path_of(export)
    if not export.is_fetchable(clock.now()) or not path.is_file():
        context = {"tab": "exports", "account": request.account, "export": export}
        return render(request, "data/gone.html", context, status=410)
    name = f"{request.account.public_id}-{export.requested_at:%Y-%m-%d}.zip"
    response = FileResponse(
        path.open("rb"), as_attachment=True, filename=name, content_type="application/zip"
    )
    response["X-Content-Type-Options"] = "nosniff"
    # A streamed answer is no HttpResponse to the type checker, and one to everybody else.
    return cast(HttpResponse, response)
