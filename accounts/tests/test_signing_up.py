"""Sign-up as a browser does it: the form, the mailed code, the account."""

import re
from datetime import timedelta

import pytest
from django.core import mail as outbox
from django.forms import Select
from django.test import Client
from django.test.html import parse_html
from django.urls import reverse

from accounts import forms
from accounts.models import Account, Event, Invitation, Member, Notice, Terms, User
from accounts.people import invite_member
from accounts.signals import account_opened
from accounts.terms import text_hash
from accounts.tests.worlds import PASSWORD, current_terms, make_account, make_terms, make_user, owner_of

pytestmark = pytest.mark.django_db


def filled_in(**changes):
    """The form as someone from Madrid fills it in."""
    fields = {
        "email": "ana@example.com",
        "password1": PASSWORD,
        "name": "Ana Ruiz",
        "company": "Ferretería Sol",
        "kind": "business",
        "country": "ES",
        "time_zone": "Europe/Madrid",
        "language": "es",
        "currency": "EUR",
        "accept_terms": "on",
        "immediate_start": "on",
        "terms_version": "1",
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def sign_up(client, **changes):
    return client.post(reverse("account_signup"), filled_in(**changes))


def mailed_code():
    """The code in the last mail: a line of its own."""
    return re.search(r"^ *([A-Z0-9]{3,4}-?[A-Z0-9]{3,4}) *$", outbox.outbox[-1].body, re.MULTILINE)[1]


def confirm(client):
    return client.post(reverse("account_email_verification_sent"), {"code": mailed_code()}, follow=True)


def test_a_sign_up_opens_an_account_with_its_owner(clock):
    terms, client = current_terms(), Client()
    sign_up(client)
    account, user = Account.objects.get(), User.objects.get()

    assert (account.name, account.country, account.time_zone) == ("Ferretería Sol", "ES", "Europe/Madrid")
    assert (account.currency, account.language, account.kind) == ("EUR", "es", "business")
    assert (account.state, account.terms) == ("active", terms)
    assert (user.email, user.name, user.language) == ("ana@example.com", "Ana Ruiz", "es")
    assert Member.objects.get().role == "owner"


def test_it_keeps_what_was_accepted_and_the_consent_to_start():
    terms = current_terms()
    sign_up(Client(), immediate_start=None)
    accepted = Account.objects.get().acceptances.get()

    assert accepted.text_hash == text_hash(terms, "es")
    assert accepted.accepted_by == User.objects.get()
    assert accepted.immediate_start is False


def test_the_mailed_code_leads_to_the_account():
    current_terms()
    client = Client()
    assert sign_up(client).status_code == 302
    response = confirm(client)

    assert response.redirect_chain[-1][0] == reverse(
        "account_overview", args=[Account.objects.get().public_id]
    )
    assert "Ferretería Sol" in response.content.decode()
    assert '<html lang="es">' in response.content.decode()


def test_without_the_code_nobody_is_signed_in():
    current_terms()
    client = Client()
    sign_up(client)

    assert client.get(reverse("account_list")).status_code == 302


def test_the_apps_above_hear_of_it_once_in_the_same_transaction():
    current_terms()
    heard = []

    def listen(sender, account, at, **_):
        heard.append(account)

    account_opened.connect(listen)
    sign_up(Client())
    account_opened.disconnect(listen)

    assert heard == [Account.objects.get()]


@pytest.mark.django_db(transaction=True)
def test_when_anything_fails_nothing_is_left():
    current_terms()

    def fail(sender, **_):
        raise ZeroDivisionError

    account_opened.connect(fail)
    try:
        with pytest.raises(ZeroDivisionError):
            sign_up(Client())
    finally:
        account_opened.disconnect(fail)

    for model in (User, Account, Member, Event, Notice):
        assert not model.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"accept_terms": None},
        {"company": ""},
        {"country": "XX"},
        {"country": ""},
        {"time_zone": "Mars/Phobos"},
        {"currency": "XXX"},
        {"kind": "charity"},
        {"language": "tlh"},
        {"terms_version": None},
        {"password1": "short"},
    ],
)
def test_what_is_missing_or_wrong_is_said_and_nothing_is_made(changes):
    current_terms()
    response = sign_up(Client(), **changes)

    assert response.status_code == 200
    assert list(response.context["form"].errors) == list(changes)
    assert not User.objects.exists()


def test_terms_that_changed_meanwhile_are_shown_before_they_are_accepted(clock):
    current_terms()
    client = Client()
    make_terms(2, in_force_from=clock.now() - timedelta(seconds=1))
    response = sign_up(client)

    assert "terms_version" in response.context["form"].errors
    assert 'name="terms_version" value="2"' in response.content.decode()
    assert sign_up(client, terms_version="2").status_code == 302
    assert Account.objects.get().terms.version == 2


def test_there_is_no_sign_up_without_terms():
    response = Client().get(reverse("account_signup"))

    assert response.status_code == 200
    assert "form" not in response.context or not response.context["form"]


def test_nobody_opens_a_further_account_without_terms_either():
    browser = Client()
    browser.force_login(make_user())
    response = browser.get(reverse("account_new"))

    assert response.status_code == 200
    assert "No new accounts" in response.content.decode()


def test_an_address_that_is_known_gets_a_mail_and_the_page_says_nothing():
    make_user("ana@example.com")
    current_terms()
    response = sign_up(Client())

    assert response.status_code == 302
    assert response["Location"] == reverse("account_email_verification_sent")
    assert not Account.objects.exists()
    assert outbox.outbox[0].to == ["ana@example.com"]


def test_one_address_in_any_case_is_one_person():
    current_terms()
    sign_up(Client())
    sign_up(Client(), email="ANA@Example.com")

    assert User.objects.get().email == "ana@example.com"
    assert Account.objects.count() == 1


def test_someone_who_is_signed_in_opens_a_further_account(clock):
    account = make_account()
    client = Client()
    client.force_login(owner_of(account))
    response = client.post(reverse("account_new"), filled_in(company="Second", kind="consumer"))
    second = Account.objects.get(name="Second")

    assert response["Location"] == reverse("account_overview", args=[second.public_id])
    assert owner_of(second) == owner_of(account)
    assert second.kind == "consumer"


def test_the_list_shows_all_accounts_and_opens_a_single_one():
    account = make_account(name="First")
    client, owner = Client(), owner_of(account)
    client.force_login(owner)
    assert client.get("/a/").status_code == 302
    make_account(name="Second", owner=owner)
    page = client.get("/a/").content.decode()

    assert "First" in page
    assert "Second" in page


def test_who_belongs_nowhere_is_told_what_to_do():
    client = Client()
    client.force_login(make_user())
    page = client.get("/a/").content.decode()

    assert reverse("account_new") in page


class TestInvited:
    """Someone who follows an invitation signs up without a company and joins by a POST."""

    @pytest.fixture
    def link(self, clock, django_capture_on_commit_callbacks):
        account = make_account(name="Sol")
        invite_member(account, "eva@example.com", "billing", by_user=owner_of(account), at=clock.now())
        from accounts.tasks import send_notices

        send_notices()
        return re.search(r"http://[^/]+(/invitations/\S+)", outbox.outbox[-1].body)[1]

    def signed_up(self, link):
        client = Client()
        client.get(link)
        fields = {"email": "eva@example.com", "password1": PASSWORD, "name": "Eva", "language": "en"}
        client.post(f"{reverse('account_signup')}?next={link}", {**fields, "next": link})
        return client

    def test_the_link_says_who_invites_to_what_and_changes_nothing(self, link):
        page = Client().get(link).content.decode()

        assert "Sol" in page
        assert Invitation.objects.get().accepted_at is None

    def test_the_form_asks_for_no_company(self, link):
        client = Client()
        client.get(link)
        form = client.get(reverse("account_signup")).context["form"]

        assert set(form.fields) == {"email", "password1", "name", "language"}
        assert form.initial.get("email", form.fields["email"].initial) == "eva@example.com"

    def test_after_the_code_one_button_joins(self, link):
        client = self.signed_up(link)
        response = confirm(client)
        assert response.redirect_chain[-1][0] == link
        assert Member.objects.count() == 1
        client.post(link)
        seat = Member.objects.get(user__email="eva@example.com")

        assert seat.role == "billing"
        assert Account.objects.count() == 1

    def test_the_link_works_once(self, link):
        client = self.signed_up(link)
        confirm(client)
        client.post(link)

        assert client.get(link).status_code == 410
        assert Client().get(link).status_code == 410

    def test_another_address_cannot_use_it(self, link):
        client = Client()
        client.force_login(make_user("mallory@example.com"))
        client.post(link)

        assert client.get(link).status_code == 200
        assert not Member.objects.filter(user__email="mallory@example.com").exists()

    def test_another_address_cannot_be_typed_into_the_form(self, link):
        client = Client()
        client.get(link)
        fields = {"email": "mallory@example.com", "password1": PASSWORD, "language": "en"}
        response = client.post(reverse("account_signup"), fields)

        assert list(response.context["form"].errors) == ["email"]

    def test_a_guessed_link_is_as_gone_as_a_used_one(self, link):
        assert Client().get("/invitations/guess/").status_code == 410

    def test_who_has_a_sign_in_already_finds_it_among_the_accounts(self, link):
        client = Client()
        client.force_login(make_user("eva@example.com"))
        page = client.get("/a/").content.decode()
        assert "Sol" in page
        client.post(reverse("join", args=[Invitation.objects.get().pk]))

        assert Member.objects.filter(user__email="eva@example.com").exists()

    def test_nobody_joins_by_number_with_another_address(self, link):
        client = Client()
        client.force_login(make_user("mallory@example.com"))

        assert client.post(reverse("join", args=[Invitation.objects.get().pk])).status_code == 404

    def test_an_expired_link_is_gone(self, link, clock):
        clock.forward(days=14)

        assert Client().get(link).status_code == 410


def test_the_countries_are_those_of_the_world_in_the_reader_s_language():
    from django.utils import translation

    with translation.override("es"):
        spanish = dict(forms.country_choices())

    assert spanish["DE"] == "Alemania"
    assert 240 < len(spanish) < 255
    assert not {"EU", "ZZ", "UN"} & set(spanish)
    assert next(iter(spanish)) == "AF"


def test_no_terms_are_needed_to_read_that_there_are_none():
    assert not Terms.objects.exists()
    assert Client().get("/terms/").status_code == 404


@pytest.mark.parametrize("value", ["ES", "", None, '"><b>'])
def test_a_long_list_is_written_as_django_writes_it_only_faster(value):
    choices = [("", "Choose…"), ("ES", "Spain & <others>"), ("DE", "Germany")]
    attrs = {"id": "id_country", "required": True, "aria-describedby": "id_country_helptext"}
    ours, theirs = (
        widget(choices=choices).render("country", value, attrs) for widget in (forms.LongSelect, Select)
    )

    assert parse_html(ours) == parse_html(theirs)
