"""The account's own pages, the terms, and the way in."""

from django.urls import path

from accounts import views, views_confirm, views_gate, views_keys, views_people, views_terms

urlpatterns = [
    path("", views.home, name="home"),
    path("language/", views.choose_language, name="set_language"),
    path("terms/", views_terms.current_terms, name="terms"),
    path("terms/<int:version>/", views_terms.terms_version, name="terms_version"),
    path("terms/<int:old>/<int:new>/", views_terms.terms_difference, name="terms_difference"),
    path("confirm/", views_confirm.confirm_by_code, name="confirm_by_code"),
    path("me/", views.user_settings, name="user_settings"),
    path("access/check", views_gate.access_check, name="access_check"),
    path("invitations/<str:token>/", views_people.invitation, name="invitation"),
    path("a/", views.account_list, name="account_list"),
    path("a/new/", views.account_new, name="account_new"),
    path("a/join/<int:number>/", views_people.join, name="join"),
    path("a/<slug:account_id>/", views.account_overview, name="account_overview"),
    path("a/<slug:account_id>/history/", views.account_history, name="account_history"),
    path("a/<slug:account_id>/settings/", views.account_settings, name="account_settings"),
    path("a/<slug:account_id>/people/", views_people.people, name="people"),
    path("a/<slug:account_id>/people/invite/", views_people.invite, name="invite"),
    path("a/<slug:account_id>/people/leave/", views_people.leave, name="leave_team"),
    path(
        "a/<slug:account_id>/people/invitations/<int:number>/withdraw/",
        views_people.withdraw,
        name="withdraw_invitation",
    ),
    path("a/<slug:account_id>/people/<slug:person>/role/", views_people.role, name="change_role"),
    path("a/<slug:account_id>/people/<slug:person>/remove/", views_people.remove, name="remove_member"),
    path("a/<slug:account_id>/keys/", views_keys.keys, name="keys"),
    path("a/<slug:account_id>/keys/new/", views_keys.key_new, name="key_new"),
    path("a/<slug:account_id>/keys/<int:number>/revoke/", views_keys.key_revoke, name="key_revoke"),
]
