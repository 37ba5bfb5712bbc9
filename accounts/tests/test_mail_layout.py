"""A mail's template is written once and read three times."""

from typing import Any

from django.template import engines
from django.utils import translation

KIND = """{% extends layout %}{% load i18n terms_format mail_layout %}
{% block subject %}Receipt for {{ name }}{% endblock %}
{% block heading %}Gone, {{ name }}{% endblock %}
{% block body %}
    First line
    of {{ name }}.

    {% if never %}No{% endif %}

    - one
    - two
{% endblock %}
{% block facts %}{% money 1250 "EUR" as refund %}{% fact "Refund" refund %}
{% fact "Nothing" "" %}{% endblock %}
{% block action_url %}https://example.com/?a=1&b=2{% endblock %}
{% block action_label %}Look{% endblock %}
"""


def render(form: str, source: str = KIND, **context: object) -> str:
    values = {"layout": f"mail/layout.{form}", "name": "Ben & <b>Co</b>"} | context
    return engines["django"].from_string(source).render(values)


def test_the_subject_is_plain_text_alone() -> None:
    assert render("subject").strip() == "Receipt for Ben & <b>Co</b>"


def test_the_text_holds_every_part_without_markup() -> None:
    text = render("txt")

    assert text.startswith("Gone, Ben & <b>Co</b>\n\nFirst line\nof Ben & <b>Co</b>.\n\n- one\n- two\n")
    assert "\nRefund: €12.50\n" in text
    assert "\nLook:\nhttps://example.com/?a=1&b=2\n" in text
    assert "\n\n\n" not in text


def test_the_html_escapes_what_it_is_given() -> None:
    html = render("html")

    assert "<b>Co</b>" not in html
    assert "<title>Receipt for Ben &amp; &lt;b&gt;Co&lt;/b&gt;</title>" in html
    assert "<p>First line of Ben &amp; &lt;b&gt;Co&lt;/b&gt;.</p>" in html
    assert "<ul><li>one</li><li>two</li></ul>" in html
    assert "<tr><th>Refund</th><td>€12.50</td></tr>" in html
    assert 'href="https://example.com/?a=1&b=2"' in html.replace("&amp;", "&")


def test_facts_stand_one_below_the_other_in_plain_text() -> None:
    text = render("txt", facts=[("Last day", "3 November"), ("Plan", "Team")])

    assert "\nRefund: €12.50\nLast day: 3 November\nPlan: Team\n" in text


def test_a_fact_without_a_value_is_left_out() -> None:
    assert "Nothing" not in render("html")
    assert "Nothing" not in render("txt")


def test_facts_of_the_context_follow_those_of_the_template() -> None:
    html = render("html", facts=[("Last day", "3 <i>November</i>")])

    assert "<tr><th>Last day</th><td>3 &lt;i&gt;November&lt;/i&gt;</td></tr>" in html


def test_parts_that_were_left_out_leave_no_trace() -> None:
    bare = "{% extends layout %}{% block subject %}s{% endblock %}{% block body %}b{% endblock %}"
    html = render("html", bare)

    assert "<h1>" not in html
    assert '<table class="facts">' not in html
    assert 'class="action"' not in html


def test_the_layout_says_its_language() -> None:
    with translation.override("es"):
        html = render("html")

    assert '<html lang="es">' in html


def test_our_own_addresses_are_links_and_nobody_else_s(settings: Any) -> None:
    settings.SITE_URL = "https://good.example"
    source = (
        "{% extends layout %}{% block body %}Undo: https://good.example/undo/a-b_1/. {{ name }}{% endblock %}"
    )
    html = render("html", source, name="https://evil.example/x https://good.example.evil/ <i>")

    assert '<a href="https://good.example/undo/a-b_1/">https://good.example/undo/a-b_1/</a>. ' in html
    assert 'href="https://evil' not in html
    assert 'href="https://good.example.evil' not in html
    assert "<i>" not in html
