"""The pieces that pages are made of, and the rules they all keep."""

import re
from pathlib import Path

import pytest
from django import forms
from django.conf import settings
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.utils import translation

TEMPLATES = Path(settings.BASE_DIR) / "templates"
PAGES = sorted(path for path in TEMPLATES.rglob("*.html") if "mail" not in path.relative_to(TEMPLATES).parts)
ERRORS = ["400.html", "403.html", "403_csrf.html", "404.html", "429.html", "500.html", "503.html"]


class Letter(forms.Form):
    to = forms.EmailField(label="To", help_text="One address.")
    body = forms.CharField(label="Body", widget=forms.Textarea, required=False)
    kind = forms.ChoiceField(label="Kind", choices=[("a", "A"), ("b", "B")], widget=forms.RadioSelect)
    copy = forms.BooleanField(label="Send me a copy", help_text="To your own address.")


def rendered(form: forms.Form) -> str:
    return render_to_string("components/form.html", {"form": form})


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_no_page_carries_inline_style_or_script(path: Path) -> None:
    source = path.read_text(encoding="utf-8")

    assert not re.search(r"\sstyle=|<style|\son[a-z]+=\"", source)
    scripts = re.findall(r"<script\b[^>]*>", source)
    assert all("src=" in tag or 'type="application/json"' in tag for tag in scripts)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_no_comment_of_a_template_reaches_the_reader(path: Path) -> None:
    """Django's short comment ends with its line; a longer one would be shown."""
    lines = path.read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if line.count("{#") != line.count("#}")] == []


def test_the_style_sheet_stays_small_and_loads_nothing() -> None:
    found = finders.find("css/terms.css")
    assert isinstance(found, str)
    css = Path(found).read_text(encoding="utf-8")

    assert len(css.encode()) < 32_000
    assert "url(" not in css
    assert "@import" not in css


def test_help_is_tied_to_its_field() -> None:
    html = rendered(Letter())

    assert 'id="id_to_helptext"' in html
    assert re.search(r'<input type="email"[^>]*aria-describedby="id_to_helptext"', html)
    assert 'class="error-summary"' not in html


def test_an_error_is_listed_on_top_and_tied_to_its_field() -> None:
    html = rendered(Letter({"to": "nobody"}))

    assert 'href="#id_to"' in html
    assert 'id="id_to_error"' in html
    assert re.search(r'aria-describedby="id_to_helptext id_to_error"', html)
    assert 'aria-invalid="true"' in html


def test_the_error_of_a_radio_leads_to_a_place_that_exists() -> None:
    html = rendered(Letter({"to": "a@example.com", "copy": "on"}))
    target = re.search(r'href="#(id_kind[^"]*)"', html)

    assert target
    assert f'id="{target.group(1)}"' in html
    assert re.search(r'<fieldset[^>]*aria-describedby="id_kind_error"', html)


def test_only_optional_fields_are_marked() -> None:
    assert rendered(Letter()).count("(optional)") == 1


def test_the_label_of_a_checkbox_holds_it() -> None:
    assert re.search(r'<label class="check" for="id_copy"><input type="checkbox"', rendered(Letter()))


def test_a_choice_sends_its_code_and_what_it_was_given() -> None:
    choice = {
        "code": "stop_now",
        "title": "Stop now",
        "first": "Nothing is refunded.",
        "facts": [("Money", "€0.00")],
        "button": "Stop",
        "fields": [("quote", "abc")],
        "is_default": False,
        "is_grave": True,
    }
    html = render_to_string("components/choices.html", {"choices": [choice]})

    assert '<input type="hidden" name="quote" value="abc">' in html
    assert 'name="ending" value="stop_now"' in html
    assert 'class="button danger quiet"' in html
    assert "If in doubt" not in html
    assert html.index("Nothing is refunded.") < html.index("€0.00")


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("template", ERRORS)
def test_each_error_page_speaks_the_readers_language(template: str, language: str) -> None:
    with translation.override(language):
        html = render_to_string(template)

    assert f'<html lang="{language}">' in html
    assert html.count("<h1>") == 1
    assert 'href="/"' in html


def test_the_page_of_a_broken_server_needs_nothing_from_it() -> None:
    source = (TEMPLATES / "500.html").read_text(encoding="utf-8")

    assert "extends" not in source
    assert "{% static " not in source
    assert "request" not in re.sub(r"\{#.*?#\}", "", source)


def test_every_page_has_its_landmarks_and_a_way_past_them() -> None:
    html = render_to_string("404.html", request=RequestFactory().get("/nothing/"))

    for piece in ('class="skip" href="#main"', '<main id="main"', "<header", "<footer", "<nav"):
        assert piece in html
