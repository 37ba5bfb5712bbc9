"""The product's addresses and the references of the inbox's measurement."""

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from billing import stripe_api
from config.urls import urlpatterns as of_the_product

_INSERT = """
    INSERT INTO billing_incoming (event_id, type, object_id, customer_id, payment_id, invoice_id, created,
        received_at, next_attempt_at, status, attempts, mirror_attempts, lease_token, error)
    VALUES (%s, %s, %s, %s, '', '', %s, %s, %s, 'new', 0, 0, '', '') ON CONFLICT DO NOTHING
"""


@csrf_exempt
def bare(request: HttpRequest) -> HttpResponse:
    """The least that can be done: the signature, and one statement."""
    event = stripe_api.read_event(request.body, request.headers.get("Stripe-Signature", ""))
    if event is None:
        return HttpResponse(status=400)
    subject, now = event["data"]["object"]["id"], timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [event["id"], event["type"], subject, subject, now, now, now])
    return HttpResponse(status=200)


urlpatterns = [path("bare/", bare), path("mirror/", include("djstripe.urls")), *of_the_product]
