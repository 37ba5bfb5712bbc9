"""The provider's webhook: check, store, answer 200; nothing else happens in the request."""

import logging

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from accounts import clock
from billing import inbox, stripe_api

logger = logging.getLogger(__name__)

LARGEST = 1_000_000  # bytes


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Signature on the raw body, tolerance 300 s; 400: not believed, 413: too large."""
    if int(request.headers.get("Content-Length") or 0) > LARGEST:
        return HttpResponse(status=413)
    event = stripe_api.read_event(request.body, request.headers.get("Stripe-Signature", ""))
    if event is None:
        logger.warning("webhook refused: its signature does not hold")
        return HttpResponse(status=400)
    inbox.take_in(event, at=clock.now())
    return HttpResponse(status=200)
