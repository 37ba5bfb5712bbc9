"""Every address of the product."""

from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from config import health, mail_viewer

admin.autodiscover()
# Admin signs in through the same door: codes, second factor, rate limits.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("mail/", include("anymail.urls")),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("offboarding.urls")),
    path("", include("offboarding.urls_data")),
]

if settings.DEMO_PAGES:
    from config import clock_page

    urlpatterns += [
        path("demo/clock/", clock_page.clock_page, name="demo_clock"),
        path("demo/mail/", mail_viewer.messages, name="demo_mail"),
        path("demo/mail/<slug:number>/", mail_viewer.message, name="demo_message"),
        path("demo/mail/<slug:number>/html", mail_viewer.message_html, name="demo_message_html"),
    ]
