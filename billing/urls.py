"""Addresses of billing."""

from django.urls import path

from billing import webhooks

urlpatterns = [
    path("webhooks/stripe/", webhooks.stripe_webhook, name="stripe_webhook"),
]
