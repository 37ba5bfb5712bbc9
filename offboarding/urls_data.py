"""Addresses of the page about an account's data."""

from django.urls import path

from offboarding import views_data

urlpatterns = [
    path("a/<slug:account_id>/data/", views_data.data_page, name="exports"),
    path("a/<slug:account_id>/data/ask/", views_data.export_request, name="export_request"),
    path("a/<slug:account_id>/data/<slug:export_id>/", views_data.export_download, name="export_download"),
]
