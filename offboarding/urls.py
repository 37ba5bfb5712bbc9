"""Leaving, the receipt, and coming back."""

from django.urls import path

from offboarding import views, views_public, views_return

urlpatterns = [
    path("a/<slug:account_id>/leave/", views.leave, name="leave"),
    path("a/<slug:account_id>/leave/choose/", views.choose_ending, name="choose_ending"),
    path("a/<slug:account_id>/leave/keep-data/", views.keep_data, name="keep_data"),
    path("a/<slug:account_id>/leave/<slug:cancellation_id>/", views.leaving, name="leaving"),
    path("a/<slug:account_id>/leave/<slug:cancellation_id>/survey/", views.survey, name="leaving_survey"),
    path("a/<slug:account_id>/leave/<slug:cancellation_id>/offer/", views.offer, name="leaving_offer"),
    path("a/<slug:account_id>/leave/<slug:cancellation_id>/confirm/", views.confirm, name="leaving_confirm"),
    path("a/<slug:account_id>/leave/<slug:cancellation_id>/claim/", views.claim, name="leaving_claim"),
    path("a/<slug:account_id>/leave/<slug:cancellation_id>/keep/", views.keep, name="leaving_keep"),
    path("a/<slug:account_id>/return/", views_return.come_back, name="come_back"),
    path("receipt/<str:token>/", views_public.receipt, name="receipt"),
    path("undo/<str:token>/", views_public.undo, name="undo"),
]
