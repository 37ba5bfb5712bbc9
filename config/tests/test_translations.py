"""Everything that the product says, it says in Spanish too: complete, intact, and with no English left."""

import re
import subprocess
import sys

import pytest
from babel.messages.catalog import Message
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets, label_for_field
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext, ngettext

from accounts.models import Account, Notice, User
from accounts.notices import render_notice
from accounts.tests.worlds import PASSWORD, make_user
from config.tests import catalogue
from offboarding.tests import situations

pytestmark = pytest.mark.once

PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z](?![\w ])|\{\w*\}")
TAG = re.compile(r"</?\w[^>]*>")
#: Stripe's own words in invoices, which it writes in the customer's language and the sandbox in English only.
LINES_OF_THE_PROVIDER = re.compile(r"\d+ × .*\(at .*\)|(Unused|Remaining) time on .*|Trial period for .*")


def places(pattern: re.Pattern[str], text: str) -> set[str]:
    return set(pattern.findall(text))


def wrong(check) -> list[str]:
    """The Spanish forms that a check of (English, Spanish) finds fault with."""
    return [
        es for message in catalogue.messages() for en, es in catalogue.forms(message) if not check(en, es)
    ]


# --- The extractor: if it finds nothing, every test below passes in vain ---------------------------


def test_strings_are_found_in_code_however_gettext_is_called():
    source = (
        "from django.utils.translation import gettext as _, pgettext_lazy, ngettext as many\n"
        "from os import path as other\n"
        "_('one ' 'string'); pgettext_lazy('mail', 'To'); many('%(n)d day', '%(n)d days', n); other('no')"
    )

    assert set(catalogue.in_python(source)) == {
        ("", ("one string",)),
        ("mail", ("To",)),
        ("", ("%(n)d day", "%(n)d days")),
    }


def test_strings_are_found_in_templates_in_each_kind_of_tag():
    source = (
        '{% load i18n %}{% translate "One" %}{% translate "To" context "mail" %}{% fact _("When") at %}'
        "{% blocktranslate trimmed count days=n %}\n  {{ days }} day\n{% plural %}{{ days }} days"
        "{% endblocktranslate %}"
    )

    assert set(catalogue.in_template(source)) == {
        ("", ("One",)),
        ("mail", ("To",)),
        ("", ("When",)),
        ("", ("%(days)s day", "%(days)s days")),
    }


def test_the_whole_product_is_read():
    files = set(catalogue.strings_of_the_code().values())

    assert len(catalogue.strings_of_the_code()) > 1500
    assert {
        "templates/home.html",
        "accounts/forms.py",
        "billing/coming.py",
        "offboarding/wording.py",
    } <= files


# --- The catalogue ---------------------------------------------------------------------------------


def test_every_string_of_the_code_has_spanish():
    done = {
        (str(message.context or ""), message.id if isinstance(message.id, tuple) else (message.id,))
        for message in catalogue.messages()
        if all(es for _en, es in catalogue.forms(message)) and not message.fuzzy
    }
    # A string in the singular may be answered by an entry that also has a plural.
    done |= {(context, forms[:1]) for context, forms in done}
    missing = {where: forms for (context, forms), where in catalogue.strings_of_the_code().items()
               if (context, tuple(form.replace("%%", "%") for form in forms)) not in done
               and (context, forms) not in done}  # fmt: skip

    assert missing == {}, "see docs/translating.md for how to take strings up"


def test_nothing_is_a_guess():
    assert [message.id for message in catalogue.messages() if message.fuzzy] == []


def test_no_placeholder_is_lost_or_invented():
    def one_number_may_be_a_word(en: str, es: str) -> bool:
        return places(PLACEHOLDER, es) == places(PLACEHOLDER, en)

    assert wrong(one_number_may_be_a_word) == []


def test_no_markup_is_lost_or_invented():
    assert wrong(lambda en, es: sorted(TAG.findall(en)) == sorted(TAG.findall(es))) == []


def test_a_sentence_ends_as_in_english():
    def ends_alike(en: str, es: str) -> bool:
        ends = [text[-1:] if text[-1:] in ".:?…" else "" for text in (en.replace("...", "…"), es)]
        return ends[0] == ends[1]

    assert wrong(ends_alike) == []


def test_both_forms_of_a_plural_are_there():
    plurals = [message for message in catalogue.messages() if isinstance(message.id, tuple)]

    assert plurals
    assert [message.id for message in plurals if len([s for s in message.string if s]) != 2] == []


def test_spanish_punctuation_opens_and_closes():
    for open_, close in ("¿?", "¡!", "«»"):
        assert wrong(lambda en, es, a=open_, b=close: es.count(a) == es.count(b)) == []
    assert wrong(lambda en, es: not re.search("[“”]", es)) == []


def test_nobody_is_called_usted():
    formal = re.compile(
        r"\b(usted(es)?|introduzca|escoja|elija|asegúrese|inténtelo|haga clic)\b", re.IGNORECASE
    )

    assert wrong(lambda en, es: not formal.search(es)) == []


def test_no_entry_was_left_in_english():
    assert wrong(lambda en, es: not catalogue.english_in(PLACEHOLDER.sub(" ", es))) == []


def test_templates_hold_no_words_outside_the_translation_tags():
    names = {"Stripe", "narrow", "reading", "full", "entrance"}
    found = {
        str(path.relative_to(catalogue.ROOT)): words
        for path in catalogue.template_sources()
        if (words := set(catalogue.bare_words(path.read_text(encoding="utf-8"))) - names)
    }

    assert found == {}


def test_a_bare_word_would_be_found():
    assert catalogue.bare_words('<p class="x">Hello {{ name }}</p><img alt="A cat">') == ["Hello", "cat"]
    assert catalogue.bare_words('{% translate "Hello" %}<b>{{ x }}</b>') == []


def test_gettext_itself_takes_the_file():
    """msgfmt where it is installed, Babel's compiler everywhere: as `bin/bootstrap.py` does it."""
    command = [sys.executable, "-m", "babel.messages.frontend", "compile", "-l", "es"]
    result = subprocess.run(
        [*command, "-i", str(catalogue.PO), "-o", "/dev/null"], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    assert "error" not in result.stderr.lower()


# --- What readers see ------------------------------------------------------------------------------


def test_our_words_go_before_those_of_django_and_allauth():
    with translation.override("es"):
        one, many = (
            ngettext(
                "Your password must contain at least %(min_length)d character.",
                "Your password must contain at least %(min_length)d characters.",
                count,
            )
            for count in (1, 10)
        )
        entered = gettext("Enter a valid email address.")

    assert (one % {"min_length": 1}, many % {"min_length": 10}) == (
        "Debe tener al menos 1 carácter.",
        "Debe tener al menos 10 caracteres.",
    )
    assert entered == "Escribe una dirección de correo válida."


def crawl(browser: Client, first: str, *, pages: int = 60) -> dict[str, str]:
    """The pages that links lead to from here, two of each shape at most: their address and what is seen."""
    waiting, seen, shapes = [first], {}, {}
    while waiting and len(seen) < pages:
        address = waiting.pop(0)
        shape = re.sub(r"[0-9a-z]{20,}|\d+", "#", address.partition("?")[0])
        if address in seen or shapes.get(shape, 0) > 1:
            continue
        shapes[shape] = shapes.get(shape, 0) + 1
        answer = browser.get(address, headers={"accept-language": "es"})
        if "text/html" not in answer.get("Content-Type", "") or answer.status_code in (301, 302):
            continue
        page = answer.content.decode()

        assert '<html lang="es"' in page, address
        seen[address] = catalogue.visible(page)
        waiting += [link for link in re.findall(r'<a[^>]*href="(/[^"#]+)"', page) if "logout" not in link]
    return seen


def english_pages(pages: dict[str, str]) -> dict[str, list[str]]:
    """Where English is left, and what."""
    found = {at: catalogue.english_in(LINES_OF_THE_PROVIDER.sub(" ", text)) for at, text in pages.items()}
    return {at: lines for at, lines in found.items() if lines}


def test_english_on_a_page_would_be_found():
    page = '<p>Hola</p><p title="This is it">Nothing was charged.</p><pre>the</pre>'

    assert english_pages({"/x/": catalogue.visible(page)}) == {"/x/": ["Nothing was charged.", "This is it"]}


@pytest.mark.django_db
def test_visitors_read_spanish_when_their_browser_asks_for_it():
    situations.make_terms()
    pages = crawl(Client(), "/") | crawl(Client(), "/nothing-here/")

    assert {reverse("account_login"), reverse("account_signup"), reverse("terms")} <= set(pages)
    assert english_pages(pages) == {}


@pytest.mark.django_db
def test_a_form_with_mistakes_is_answered_in_spanish():
    situations.make_terms()
    browser = Client(headers={"accept-language": "es"})
    sign_up = browser.post(reverse("account_signup"), {"email": "x", "password1": "1", "time_zone": "Mars"})
    sign_in = browser.post(reverse("account_login"), {"login": "x@example.com", "password": "wrong"})

    assert sign_up.status_code == sign_in.status_code == 200
    assert (
        english_pages(
            {a: catalogue.visible(r.content.decode()) for a, r in (("up", sign_up), ("in", sign_in))}
        )
        == {}
    )


@pytest.mark.django_db
def test_whoever_signs_in_is_greeted_in_their_own_language():
    user = make_user(language="es", password=PASSWORD)
    browser = Client(headers={"accept-language": "en"})
    fields = {"login": user.email, "password": PASSWORD}
    page = browser.post(reverse("account_login"), fields, follow=True).content.decode()

    assert f"Has iniciado sesión como {user.email}" in re.sub(r"<[^>]+>|\s+", " ", page)


@pytest.mark.django_db
@pytest.mark.usefixtures("stripe_account")
@pytest.mark.parametrize("start", sorted(situations.STARTS))
def test_customers_and_their_mails_read_spanish_wherever_they_stand(start, clock):
    account = situations.STARTS[start](clock)
    User.objects.update(language="es")
    Account.objects.update(language="es")
    pages = crawl(situations.owners_browser(account), reverse("account_overview", args=[account.public_id]))
    mails = [render_notice(notice, at=clock.now()) for notice in Notice.objects.all()]

    assert len(pages) > 8
    assert english_pages(pages) == {}
    assert english_pages({m.subject: f"{m.subject}\n{catalogue.visible(m.html)}" for m in mails}) == {}


@pytest.mark.django_db
@pytest.mark.usefixtures("stripe_account")
@pytest.mark.parametrize("ending", ["stop_renewing", "stop_now", "free_days", "close_delete"])
def test_leaving_reads_spanish_to_its_end(ending, clock):
    account = situations.with_team(clock)
    User.objects.update(language="es")
    browser = situations.owners_browser(account)
    pages = {"chosen": catalogue.visible(situations.choose(browser, account, ending).content.decode())}
    pages |= crawl(browser, reverse("account_overview", args=[account.public_id]))
    if ending != "stop_renewing":
        pages["confirmed"] = catalogue.visible(situations.confirm(browser, account).content.decode())
    situations.after(clock, days=40)
    pages |= {f"{at} later": text for at, text in crawl(browser, "/a/").items()}
    mails = {n.kind: render_notice(n, at=clock.now()) for n in Notice.objects.select_related("user")}

    assert any("/leave/" in at for at in pages)
    assert {"leaving_received", "teammate_leaving"} <= set(mails)
    assert english_pages(pages) == {}
    assert english_pages({k: f"{m.subject}\n{catalogue.visible(m.html)}" for k, m in mails.items()}) == {}


@pytest.mark.django_db
@pytest.mark.usefixtures("stripe_account")
def test_staff_read_spanish(clock):
    situations.ended(clock)
    browser = Client()
    browser.force_login(make_user(language="es", is_staff=True, is_superuser=True))
    pages = crawl(browser, reverse("admin:index"), pages=80)
    ours = {at: text for at, text in pages.items() if "/djstripe/" not in at and "/exitreason/" not in at}

    assert len(ours) > 20
    assert english_pages(ours) == {}


def test_the_singular_and_the_plural_of_a_message_are_two_entries_for_one():
    message = Message(("%(n)d day", "%(n)d days"), ("%(n)d día", "%(n)d días"))

    assert catalogue.forms(message) == [("%(n)d day", "%(n)d día"), ("%(n)d days", "%(n)d días")]


#: Words that are spelled alike in both languages.
ALIKE = {"error", "plan", "subtotal", "total"}


def test_staff_read_every_list_and_label_of_the_desk_in_spanish():
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_staff=True)
    english = set()
    for model, page in admin.site._registry.items():
        shown = flatten_fieldsets(page.get_fieldsets(request, model()))
        said = {}
        for language in ("en", "es"):
            with translation.override(language):
                labels = [str(label_for_field(name, model, page)) for name in [*page.list_display, *shown]]
                said[language] = [
                    *labels,
                    str(model._meta.verbose_name),
                    str(model._meta.verbose_name_plural),
                ]
        pairs = zip(said["en"], said["es"], strict=True)
        english |= {f"{model._meta.label}: {label}" for label, other in pairs if label == other}

    assert {label for label in english if label.split(": ")[1] not in ALIKE} == set()
