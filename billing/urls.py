"""Addresses of billing."""

from django.urls import path

from billing import views, views_dunning, views_paying, views_trials, webhooks

urlpatterns = [
    path("webhooks/stripe/", webhooks.stripe_webhook, name="stripe_webhook"),
    path("a/<slug:account_id>/billing/", views.billing_overview, name="billing_overview"),
    path("a/<slug:account_id>/pause/end/", views.pause_end, name="end_pause"),
    path("a/<slug:account_id>/plans/", views.plans, name="plans"),
    path("a/<slug:account_id>/plans/choose/", views.choose_plan, name="choose_plan"),
    path("a/<slug:account_id>/more-time/", views_trials.more_time, name="more_time"),
    path("more-time/<str:token>/", views_trials.more_time_by_link, name="more_time_by_link"),
    path("a/<slug:account_id>/pay/done/", views_paying.pay_done, name="pay_done"),
    path("a/<slug:account_id>/pay/<slug:code>/", views_paying.pay, name="pay"),
    path("a/<slug:account_id>/pay/<slug:code>/start/", views_paying.pay_start, name="pay_start"),
    path("a/<slug:account_id>/pay/<slug:code>/known/", views_paying.pay_known, name="pay_known"),
    path("a/<slug:account_id>/card/", views_paying.card, name="card"),
    path("a/<slug:account_id>/card/start/", views_paying.card_start, name="card_start"),
    path("a/<slug:account_id>/invoices/", views.invoices, name="invoices"),
    path("a/<slug:account_id>/invoices/<str:number>/", views.invoice, name="invoice"),
    path("a/<slug:account_id>/invoices/<str:invoice_id>/pay/", views_paying.invoice_pay, name="invoice_pay"),
    path(
        "a/<slug:account_id>/invoices/<str:invoice_id>/pay/start/",
        views_paying.invoice_pay_start,
        name="invoice_pay_start",
    ),
    path(
        "a/<slug:account_id>/invoices/<str:invoice_id>/pay/known/",
        views_paying.invoice_pay_known,
        name="invoice_pay_known",
    ),
    path("a/<slug:account_id>/invoices/<str:invoice_id>/bank/", views_dunning.bank, name="invoice_bank"),
    path("a/<slug:account_id>/invoices/<str:invoice_id>/day/", views_dunning.choose, name="choose_day"),
    path("pay/<str:token>/", views_dunning.pay_link, name="pay_link"),
    path("pay/<str:token>/start/", views_dunning.pay_link_start, name="pay_link_start"),
    path("pay/<str:token>/confirm/", views_dunning.pay_link_confirm, name="pay_link_confirm"),
    path("pay/<str:token>/bank/", views_dunning.pay_link_bank, name="pay_link_bank"),
    path("pay/<str:token>/done/", views_dunning.pay_link_done, name="pay_link_done"),
]
